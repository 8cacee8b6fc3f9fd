import type { FreshetError } from './error.ts'

/** How a connection ended, or that there came to be none. */
export interface End {
  readonly error: Pick<FreshetError, 'code' | 'retryable' | 'retryAfterMs'>
  /** It had lasted. */
  readonly wasSteady: boolean
  /** When the server wants us back; null: it did not say. */
  readonly comeBackMs: number | null
}

export interface Tries {
  /** Connections in a row that did not last. */
  readonly count: number
  /** The last credential was not taken. */
  readonly refused: boolean
}

export const noTries: Tries = { count: 0, refused: false }

/** null: nothing is to be hoped for. */
export type Next = { readonly afterMs: number; readonly tries: Tries } | null

/**
 * Whether to connect again, and when: full jitter, so that those who lost one server do not come back together.
 * `renewable`: a fresh credential can be asked for, once, when the old one is refused.
 */
export function whatNext(
  { error, wasSteady, comeBackMs }: End,
  tries: Tries,
  renewable: boolean,
  random: () => number,
): Next {
  const { count, refused } = wasSteady ? noTries : tries
  const isRefused = error.code === 'unauthenticated'
  if (!error.retryable && !(isRefused && renewable && !refused)) return null
  const jitterMs = Math.round(random() * Math.min(BACK_OFF_MS_MAX, BACK_OFF_MS * 2 ** count))
  return {
    afterMs: comeBackMs ?? (error.retryAfterMs ?? 0) + jitterMs,
    tries: { count: comeBackMs === null ? count + 1 : 0, refused: isRefused },
  }
}

const BACK_OFF_MS = 250
const BACK_OFF_MS_MAX = 15_000
/** A connection that has lasted so long begins a new count. */
export const STEADY_MS = 5_000
