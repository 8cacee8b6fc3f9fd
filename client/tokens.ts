/** The positions that a token stands for: a number means everything up to it, a list exactly these. */
interface Positions {
  readonly epoch: number
  readonly documents: Readonly<Record<string, number | readonly number[]>>
}

/** One token for what both stand for. Of two epochs the later one counts: positions of the other mean nothing any more. */
export function mergeTokens(before: string | null, own: string): string {
  const a = before === null ? null : positionsIn(before)
  const b = positionsIn(own)
  // A server of another version: the newest one is all that can be said.
  if (a === null || b === null || a.epoch < b.epoch) return own
  if (a.epoch > b.epoch) return before!
  const documents: Record<string, number | readonly number[]> = { ...a.documents }
  for (const [partition, positions] of Object.entries(b.documents))
    documents[partition] = united(documents[partition], positions)
  return tokenOf({ epoch: a.epoch, documents })
}

/** Of many, everything up to the last is demanded, which is a little more: so the token stays small. */
const POSITIONS_LISTED_MAX = 16

function united(a: number | readonly number[] | undefined, b: number | readonly number[]): number | readonly number[] {
  if (a === undefined) return b
  if (typeof a === 'object' && typeof b === 'object') {
    const all = [...new Set([...a, ...b])].sort((x, y) => x - y)
    return all.length <= POSITIONS_LISTED_MAX ? all : all.at(-1)!
  }
  return Math.max(...[a, b].flat())
}

function positionsIn(token: string): Positions | null {
  try {
    const json = JSON.parse(textOf(token)) as Positions
    return typeof json.epoch === 'number' && typeof json.documents === 'object' && json.documents !== null ? json : null
  } catch {
    return null
  }
}

function tokenOf(positions: Positions): string {
  return btoa(JSON.stringify(positions)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

const textOf = (base64url: string): string => atob(base64url.replaceAll('-', '+').replaceAll('_', '/'))

/** When a JWT expires, ms; null: it does not say, or is none. */
export function expiryOf(credential: string): number | null {
  try {
    const { exp } = JSON.parse(textOf(credential.split('.')[1]!)) as { exp?: unknown }
    return typeof exp === 'number' ? exp * 1_000 : null
  } catch {
    return null
  }
}
