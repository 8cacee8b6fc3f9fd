interface Keeper {
  getItem(name: string): string | null
  setItem(name: string, value: string): void
}

/**
 * The key of this tab: from the link that `npm start` prints, whose fragment no server is sent, or as it was before a reload. It does not
 * stay in the address, nor in the history.
 */
export function takeKey(hash: string, keeper: Keeper, clearAddress: () => void): string | null {
  const given = new URLSearchParams(hash.replace(/^#/, '')).get('key')
  if (given === null) return keeper.getItem(KEY)
  clearAddress()
  if (given === '') return keeper.getItem(KEY)
  keeper.setItem(KEY, given)
  return given
}

/** Its name in the session storage of the tab. */
export const KEY = 'freshet-key'
