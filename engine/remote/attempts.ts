import type { Answer } from './transport.ts'

/** What is done about an answer. */
export type Step =
  | { readonly do: 'deliver' }
  /** The same request again, after this long. */
  | { readonly do: 'again'; readonly afterMs: number }
  /** Two requests, each with half of the texts: so the one that is refused is found. */
  | { readonly do: 'halve' }
  /** One text alone was refused: whether it is the text is seen from one that is known to be good. */
  | { readonly do: 'prove' }
  /** Whoever waits hears that the world is not well. */
  | { readonly do: 'give-up' }

export interface Attempt {
  /** From 1. */
  readonly attempt: number
  readonly attemptsMax: number
  /** In the request. */
  readonly texts: number
  readonly random: () => number
}

/** Pure. Waits have full jitter, and are never shorter than what the service asks for. */
export function stepAfter(answer: Answer, { attempt, attemptsMax, texts, random }: Attempt): Step {
  switch (answer.is) {
    case 'vectors':
      return { do: 'deliver' }
    case 'refused':
      return texts > 1 ? { do: 'halve' } : { do: 'prove' }
    case 'barred':
      return { do: 'give-up' }
    case 'busy':
    case 'down':
    case 'wrong': {
      const asked = answer.is === 'wrong' ? null : answer.retryAfterMs
      if (attempt >= attemptsMax || (asked ?? 0) > RETRY_AFTER_MS_MAX) return { do: 'give-up' }
      const jitter = random() * Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (attempt - 1))
      return { do: 'again', afterMs: Math.ceil((asked ?? 0) + jitter) }
    }
  }
}

const RETRY_MS_MIN = 200
const RETRY_MS_MAX = 5_000
/** Longer than this nobody waits here: the stage hears of it, and comes again. */
export const RETRY_AFTER_MS_MAX = 10_000
