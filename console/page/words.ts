import type { AsOf, HitChange, SearchHit } from '../../client/client.ts'

/** How fresh an answer is. */
export function freshnessOf(asOf: AsOf | null): { readonly isFresh: boolean; readonly text: string } {
  if (asOf === null) return { isFresh: false, text: 'nothing heard yet' }
  const { staleMs, ingestStaleMs, complete } = asOf
  if (!complete) return { isFresh: false, text: 'age not known yet' }
  if (staleMs > 0) return { isFresh: false, text: `${duration(staleMs)} behind` }
  if (ingestStaleMs > 0) return { isFresh: false, text: `sources ${duration(ingestStaleMs)} behind` }
  return { isFresh: true, text: 'up to date' }
}

export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  return ms < 60_000 ? `${(ms / 1_000).toFixed(1)} s` : `${Math.round(ms / 60_000)} min`
}

export const countOf = (count: number, one: string): string =>
  `${count === 0 ? 'No' : count} ${one}${count === 1 ? '' : 's'}`

/** For who does not see it move: the documents, a few of them, each once. */
export function changesInWords(changes: readonly HitChange<SearchHit>[]): string {
  const named = (op: HitChange<SearchHit>['op']) => [
    ...new Set(changes.filter((each) => each.op === op).map((each) => documentOf(each))),
  ]
  // Whoever enters or leaves moves all that come after.
  const ops = changes.some(({ op }) => op === 'enter' || op === 'leave') ? COMES_AND_GOES : ALL
  const said = ops.flatMap((op) => {
    const all = named(op)
    if (all.length === 0) return []
    const shown = all.slice(0, NAMED_MAX).join(', ')
    return [`${shown}${all.length > NAMED_MAX ? ` and ${all.length - NAMED_MAX} more` : ''} ${VERBS[op]}`]
  })
  return said.join('; ')
}

const documentOf = (change: HitChange<SearchHit>): string =>
  'hit' in change ? change.hit.documentId : change.hitId.replace(/#\d+$/, '')

const NAMED_MAX = 2
const COMES_AND_GOES = ['enter', 'update', 'leave'] as const
const ALL = ['update', 'move'] as const
const VERBS = { enter: 'entered', update: 'changed', leave: 'left', move: 'moved' } as const
