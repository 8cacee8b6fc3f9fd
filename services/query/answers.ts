import { z } from 'zod'
import { errorCodes, id } from './protocol.ts'

/** What the service sends: one schema per message, from which the types, the pages and the clients' contracts follow. */

const seq = z.number().int().min(1)
const rank = z.number().int().min(1)

const span = z.tuple([z.number().int(), z.number().int()])
const place = z.strictObject({ rank, score: z.number() })

export const hit = z.strictObject({
  hitId: z.string().describe('The same in every revision of the document.'),
  documentId: z.string(),
  ordinal: z.number().int().min(0).describe('Which chunk of the document.'),
  score: z.number().describe('Compares only within one answer.'),
  text: z.string(),
  title: z.string().nullable(),
  url: z.string().nullable(),
  attributes: z.record(z.string(), z.unknown()),
  revision: z.string().describe('Epoch and offset of the document’s version.'),
  span: span.describe('In the clean text, UTF-16 units, end exclusive.'),
  highlights: z
    .array(span)
    .optional()
    .describe('Words of the hit’s text that the query has too, as units of that text.'),
  explain: z
    .strictObject({
      dense: place.nullable(),
      keyword: place.nullable(),
      reranked: place.optional().describe('Where it stood before it was reranked.'),
    })
    .optional()
    .describe('Where it stands in each list that the answer was made of; null: not in its window.'),
})

export const asOf = z.strictObject({
  token: z.string().describe('Stands for everything up to where the index is.'),
  staleMs: z.number().describe('How long ago the oldest document was first seen that the index lacks; 0: none.'),
  complete: z.boolean().describe('That age is known, and nothing holds the watermark back.'),
  ingestStaleMs: z.number().describe('As staleMs, of the sources before documents.'),
})

export const outcome = z.strictObject({
  partition: z.number().int(),
  offset: z.number().int(),
  outcome: z.enum(['indexed', 'deleted', 'unchanged', 'superseded', 'rejected', 'applied']),
  reason: z.string().nullable(),
})

export const change = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('enter'), rank, hit }),
  z.strictObject({ op: z.literal('leave'), hitId: z.string() }),
  z.strictObject({ op: z.literal('move'), hitId: z.string(), rank, score: z.number() }),
  z.strictObject({ op: z.literal('update'), rank, hit }),
])

/** Durations, ms. */
const ms = z.strictObject({
  embed: z.number(),
  search: z.number(),
  rerank: z.number().optional(),
  wait: z.number().optional(),
})

export const searchAnswer = z.strictObject({
  hits: z.array(hit),
  next: z.string().optional().describe('The cursor of the next page; absent: there is none.'),
  stale: z
    .literal(true)
    .optional()
    .describe('The index had not reached `after` in time: what it stands for may be missing. Absent: it had.'),
  asOf,
  ms,
  space: z.string().optional().describe('Of all hits, with `explain`: the embedding space that answered.'),
})
export const waitAnswer = z.strictObject({ documents: z.array(outcome), asOf })
const notices = z
  .array(z.string())
  .optional()
  .describe('What was done otherwise than one may expect, like attributes that nothing can be filtered by.')
export const publishAnswer = z.strictObject({ token: z.string(), documents: z.array(outcome).optional(), notices })

/** Of `POST /v1/documents/bulk`, also where it went no further. */
export const bulkAnswer = z.strictObject({
  through: z
    .number()
    .int()
    .min(0)
    .describe('Every line up to this, counted from 1, was written or is faulty; none after it was, unless it says so.'),
  written: z.number().int().min(0).describe('Documents.'),
  deleted: z.number().int().min(0),
  faulty: z.number().int().min(0).describe('Lines that were left out.'),
  faults: z
    .array(z.strictObject({ line: z.number().int().min(1), id: z.string().optional(), reason: z.string() }))
    .describe('The first 100 of them.'),
  token: z.string().describe('Stands for everything up to the last that was written.'),
  notices,
})

const state = { epoch: z.string(), seq, asOf }
export const snapshot = z.strictObject({
  type: z.literal('snapshot'),
  ...state,
  hits: z.array(hit),
  recovered: z.literal(false),
})
export const diff = z.strictObject({
  type: z.literal('diff'),
  ...state,
  ops: z.array(change),
  recovered: z.literal(true).optional(),
})
export const standingNotice = z.strictObject({
  type: z.literal('notice'),
  code: z.enum(['following', 'not_following']),
  message: z.string(),
})
export const failure = z.strictObject({
  type: z.literal('error'),
  code: z.enum(errorCodes),
  message: z.string(),
  retryable: z.boolean(),
  retryAfterMs: z.number().optional(),
})

export const serverMessages = [
  z.strictObject({
    type: z.literal('ready'),
    connection: z.string(),
    heartbeatMs: z.number(),
    limits: z.record(z.string(), z.number()),
    token: z.string(),
  }),
  searchAnswer.extend({ type: z.literal('result'), id }),
  z.strictObject({ type: z.literal('accepted'), id, token: z.string() }),
  z.strictObject({
    type: z.literal('done'),
    id,
    documents: z.array(outcome).optional(),
    notices,
    asOf: asOf.optional(),
  }),
  snapshot.extend({ id }),
  diff.extend({ id }),
  failure.extend({ id: id.optional() }),
  standingNotice.extend({ id }),
  z.strictObject({ type: z.literal('notice'), code: z.literal('going_away'), reconnectAfterMs: z.number() }),
  z.strictObject({ type: z.literal('pong') }),
] as const
export const serverMessage = z.union(serverMessages)

export type Hit = Readonly<z.infer<typeof hit>>
export type AsOf = Readonly<z.infer<typeof asOf>>
/** What became of one position. `applied`: the index holds it, and its receipt is not at hand any more. */
export type Outcome = Readonly<z.infer<typeof outcome>>
export type ServerMessage = z.infer<typeof serverMessage>
