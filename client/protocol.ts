/** What is asked and answered, as docs/protocol.md has it. */

/** What decides the hits, once or standing. */
export interface Wish {
  readonly query: string | { readonly vector: readonly number[]; readonly space: string } | { readonly like: string }
  readonly k?: number
  readonly mode?: 'hybrid' | 'dense' | 'keyword'
  readonly filter?: Readonly<Record<string, unknown>>
  readonly groupBy?: 'document'
  /** Of each document at most so many chunks. */
  readonly perDocument?: number
  readonly scoreMin?: number
  readonly weights?: { readonly dense: number; readonly keyword: number }
  readonly language?: string
}

export interface SearchRequest extends Wish {
  /** Every point is compared, instead of those that an approximate index leads to. */
  readonly exact?: boolean
  /** Each hit says which words of its text the query has. */
  readonly highlight?: boolean
  /** A model reads the best with the query and orders them anew, where one is configured. */
  readonly rerank?: boolean
  /** Each hit says its places in the lists that it is taken from. */
  readonly explain?: boolean
  /** `''` for the first of several pages of `k`, then the `next` of the page before. */
  readonly cursor?: string
  /** `after: 'mine'`: what this client itself has published. */
  readonly freshness?:
    | 'any'
    | { readonly maxStalenessMs: number; readonly timeoutMs?: number }
    | { readonly after: string; readonly timeoutMs?: number; readonly onTimeout?: 'error' | 'stale' }
}

export interface SubscribeRequest extends Wish {
  /** What changes within it comes as one state. */
  readonly minIntervalMs?: number
}

export interface AsOf {
  readonly token: string
  readonly staleMs: number
  readonly complete: boolean
  readonly ingestStaleMs: number
}

export interface SearchHit {
  /** The same in every revision of the document. */
  readonly hitId: string
  readonly documentId: string
  readonly ordinal: number
  readonly score: number
  readonly text: string
  readonly title: string | null
  readonly url: string | null
  readonly attributes: Readonly<Record<string, unknown>>
  readonly revision: string
  readonly span: readonly [number, number]
  /** Of its text, each as start and end. */
  readonly highlights?: readonly (readonly [number, number])[]
  /** `null` where it is not in the list. */
  readonly explain?: { readonly dense: Place | null; readonly keyword: Place | null; readonly reranked?: Place }
}

export interface Place {
  readonly rank: number
  readonly score: number
}

export interface SearchAnswer {
  readonly hits: readonly SearchHit[]
  /** With `onTimeout: 'stale'`: the index had not reached `after` in time, and what it stands for may be missing. */
  readonly stale?: true
  readonly asOf: AsOf
  readonly ms: { readonly embed: number; readonly search: number; readonly rerank?: number; readonly wait?: number }
  /** With `explain`: the embedding space that answered. */
  readonly space?: string
  /** Of several pages: the cursor of the one after. */
  readonly next?: string
}

export type PublishItem =
  | {
      readonly id: string
      readonly text: string
      readonly title?: string | null
      readonly contentType?: string | null
      readonly url?: string | null
      readonly language?: string | null
      readonly attributes?: Readonly<Record<string, string | number | boolean | readonly string[]>>
      /** Groups whose members are shown it; left out: everyone of the tenant. */
      readonly acl?: readonly string[] | null
    }
  | { readonly id: string; readonly delete: true }

export interface DocumentOutcome {
  readonly partition: number
  readonly offset: number
  readonly outcome: 'indexed' | 'deleted' | 'unchanged' | 'superseded' | 'rejected' | 'applied'
  readonly reason: string | null
}

export interface PublishAnswer {
  readonly token: string
  readonly documents: readonly DocumentOutcome[]
  /** What was done otherwise than one may expect, like attributes that nothing can be filtered by. Empty after a lost connection. */
  readonly notices: readonly string[]
}

export interface WaitAnswer {
  readonly documents: readonly DocumentOutcome[]
  readonly asOf: AsOf
}

/** A message of either side. */
export interface Message {
  readonly type: string
  readonly id?: string
  readonly [field: string]: unknown
}

/** null: what came is no message. */
export function messageIn(data: unknown): Message | null {
  if (typeof data !== 'string') return null
  try {
    const json: unknown = JSON.parse(data)
    return typeof (json as Message | null)?.type === 'string' ? (json as Message) : null
  } catch {
    return null
  }
}
