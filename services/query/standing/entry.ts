import type { Candidate, Content } from '../../../connectors/qdrant/search.ts'
import { matches } from '../../../search/filter.ts'
import { windowOf } from '../../../search/ranking.ts'
import { isShown, visibilityOf } from '../../../search/visibility.ts'
import type { Principal } from '../../principal.ts'
import type { Found, Wanted } from '../finding.ts'
import { StandingQuery } from './standing-query.ts'
import type { Watch } from './touch-index.ts'

/** Why a standing query is evaluated. */
export type Why = 'first' | 'touched' | 'renewed'

/** One standing query and what is to be done for it. */
export interface Entry {
  readonly name: string
  readonly query: StandingQuery
  readonly wanted: Wanted
  readonly reader: Principal
  readonly admits: Watch['admits']
  readers: number
  /** Why it has to be evaluated; null: it is as the index is. */
  due: Why | null
  /** Not before, ms since 1970. */
  notBefore: number
  /** Why it is being evaluated; null: it is not. */
  evaluating: Why | null
  /** For `notBefore`. */
  waiting: boolean
  /** ms since 1970. */
  evaluatedAt: number
  /** How many changes of the index had been heard of when it was evaluated. */
  changesSeen: number
  /** What its hits say, so that it is held as long as they are shown. */
  contents: readonly Content[]
}

export function entryOf(name: string, wanted: Wanted, reader: Principal, now: number): Entry {
  const visibility = visibilityOf(reader)
  return {
    name,
    query: new StandingQuery(),
    wanted,
    reader,
    admits: ({ attributes, acl }) => isShown(visibility, acl) && matches(wanted.filter, attributes),
    readers: 0,
    due: null,
    notBefore: 0,
    evaluating: null,
    waiting: false,
    evaluatedAt: now,
    changesSeen: -1,
    contents: [],
  }
}

/** What may change its answer from now on. `weights`: what its terms weigh, null where its list of them is not full. */
export function watchOf(
  { wanted, reader, admits }: Entry,
  { lists, dense }: Found,
  weights: Float64Array | null,
): Watch {
  const { like, terms } = wanted.query
  const keys = [...lists.dense, ...lists.keyword].map(({ key }) => key)
  return {
    tenant: reader.tenant,
    keys: like === null ? keys : [...keys, like],
    dense: dense === null ? null : { vector: dense, scoreMin: lastOf(lists.dense, windowOf(wanted.k)) },
    keyword:
      terms === null
        ? null
        : {
            terms: terms.indices,
            weights: weights ?? NO_WEIGHTS,
            scoreMin: weights === null ? Number.NEGATIVE_INFINITY : lastOf(lists.keyword, windowOf(wanted.k)),
          },
    admits,
  }
}

/** Whether there is no room in its list of what has its terms: only then it matters what they weigh. */
export const isFull = ({ wanted }: Entry, { lists }: Found): boolean => lists.keyword.length >= windowOf(wanted.k)

/** From which score on a candidate comes into the list: any, as long as there is room. */
function lastOf(list: readonly Candidate[], window: number): number {
  if (list.length < window) return Number.NEGATIVE_INFINITY
  return list.reduce((least, { score }) => Math.min(least, score), Number.POSITIVE_INFINITY)
}

const NO_WEIGHTS = new Float64Array()
