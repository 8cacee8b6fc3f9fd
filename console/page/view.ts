import type { AsOf, Client, HitChange, SearchHit } from '../../client/client.ts'
import type { Filter } from './pairs.ts'

export interface Ask {
  readonly query: string
  readonly mode: 'hybrid' | 'dense' | 'keyword'
  readonly k: number
  readonly filter: Filter
}

/** What the page shows of an answer. */
export interface Shown {
  readonly query: string
  readonly hits: readonly SearchHit[]
  readonly asOf: AsOf | null
  /** When it came, ms since 1970. */
  readonly at: number
  /** How long the answer took; null: it stands. */
  readonly ms: number | null
  /** Of an answer that stands, since it was shown before; none at first. */
  readonly changes: readonly HitChange<SearchHit>[]
  /** Why it does not follow; null: it does. */
  readonly trouble: string | null
}

export async function searchOnce(client: Client, ask: Ask, signal: AbortSignal, show: (shown: Shown) => void) {
  const began = performance.now()
  const { hits, asOf } = await client.search({ ...ask, highlight: true, explain: true }, { signal })
  if (signal.aborted) return
  show({ query: ask.query, hits, asOf, at: Date.now(), ms: performance.now() - began, changes: [], trouble: null })
}

export async function follow(client: Client, ask: Ask, signal: AbortSignal, show: (shown: Shown) => void) {
  let before: readonly SearchHit[] | null = null
  for await (const { hits, asOf, changes, status, reason } of client.subscribe(ask, { signal })) {
    const trouble = status === 'following' ? null : `${TROUBLES[status]}${reason === null ? '' : ` (${reason})`}`
    const seen = before === null ? [] : visibleIn(changes, before)
    show({ query: ask.query, hits, asOf, at: Date.now(), ms: null, changes: seen, trouble })
    if (asOf !== null) before = hits
  }
}

/** A hit whose score alone has changed has not moved. */
export function visibleIn(changes: Shown['changes'], before: readonly SearchHit[]): Shown['changes'] {
  return changes.filter((change) => change.op !== 'move' || before[change.rank - 1]?.hitId !== change.hitId)
}

const TROUBLES = {
  reconnecting: 'Disconnected, connecting again. These are the last hits known',
  not_following: 'Not following: the index cannot be asked. These are the last hits known',
} as const
