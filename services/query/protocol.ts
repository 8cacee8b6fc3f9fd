import { z } from 'zod'
import { filterSchema } from '../../search/filter.ts'
import { shownAs } from '../../search/shown-as.ts'

/** Subprotocol `freshet.v1+json`: one schema per message from the client. Unknown fields are refused, so that a typing error is not silence. */

export const SUBPROTOCOL = 'freshet.v1+json'

export const LIMITS = {
  messageBytesMax: 1024 * 1024,
  subscriptionsMax: 256,
  minIntervalMsMax: 60_000,
  queryCharsMax: 8_192,
  kMax: 100,
  pagedHitsMax: 200,
  rerankedMax: 50,
  documentsMax: 100,
  operationsMax: 64,
  messagesPerSecondMax: 500,
  timeoutMsMax: 60_000,
} as const

export const id = z.string().min(1).max(128)
const timeoutMs = z.number().int().min(0).max(LIMITS.timeoutMsMax)

const freshness = z.union([
  z.literal('any'),
  z.strictObject({ maxStalenessMs: z.number().int().min(0), timeoutMs: timeoutMs.default(0) }),
  z.strictObject({
    after: z.string().max(16_384),
    timeoutMs: timeoutMs.default(5_000),
    onTimeout: z.enum(['error', 'stale']).default('error'),
  }),
])

// Zod notes and words each wrong entry, which of a megabyte of them took a second: here the first one ends it.
const textsWanted = z.array(z.string())
const texts = z.custom<string[]>(isTexts, 'is no list of texts').meta(shownAs(textsWanted))
const numbersWanted = z.array(z.number()).min(1).max(8_192)
const numbers = z
  .custom<number[]>(
    (value) => Array.isArray(value) && value.length >= 1 && value.length <= 8_192 && value.every(Number.isFinite),
    'is no list of 1 to 8192 numbers',
  )
  .meta(shownAs(numbersWanted))
const attributesWanted = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), textsWanted]))
const attributes = z
  .custom<z.infer<typeof attributesWanted>>()
  .superRefine((value: unknown, context) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return context.addIssue({ code: 'custom', message: 'is no object of attributes' })
    for (const [name, each] of Object.entries(value)) {
      // Written into an object it would be another thing than an attribute.
      const isName = name !== '__proto__'
      if (isName && isAttribute(each)) continue
      const message = isName ? 'is no text, number, true, false or list of texts' : 'is not the name of an attribute'
      return context.addIssue({ code: 'custom', path: [name], message })
    }
  })
  .meta(shownAs(attributesWanted))

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}

const isAttribute = (value: unknown): boolean =>
  typeof value === 'string' || Number.isFinite(value) || typeof value === 'boolean' || isTexts(value)

/** A document, as whoever publishes has it. */
export const put = z.strictObject({
  id: z.string().min(1),
  text: z.string(),
  title: z.string().nullish(),
  contentType: z.string().nullish(),
  url: z.string().nullish(),
  language: z.string().nullish(),
  attributes: attributes.optional(),
  acl: texts.nullish(),
})
const remove = z.strictObject({ id: z.string().min(1), delete: z.literal(true) })

/** A document, or that one is to be deleted. */
export const publishItem = z.union([put, remove])
export type PublishItem = z.infer<typeof publishItem>

/** The one of both that it is meant to be, so that what is wrong can be named. */
export const itemSchemaOf = (json: unknown): z.ZodType<PublishItem> =>
  typeof json === 'object' && json !== null && 'delete' in json ? remove : put

/** How long whoever publishes waits for what becomes of it. */
export const publishWish = {
  ack: z.enum(['accepted', 'indexed']).default('accepted'),
  timeoutMs: timeoutMs.default(30_000),
}

const weight = z.number().min(0).max(1_000)

/** What decides the hits of a search, once or standing. */
const searchFields = {
  query: z.union([
    z.string().min(1).max(LIMITS.queryCharsMax),
    z.strictObject({ vector: numbers, space: z.string() }),
    z.strictObject({ like: z.string().min(3).max(512) }),
  ]),
  k: z.number().int().min(1).max(LIMITS.kMax).default(10),
  filter: filterSchema.default({}),
  mode: z.enum(['hybrid', 'dense', 'keyword']).default('hybrid'),
  language: z.string().max(35).nullish(),
  rerank: z.boolean().default(false),
  groupBy: z.literal('document').optional(),
  perDocument: z.number().int().min(1).max(LIMITS.kMax).optional(),
  scoreMin: z.number().optional(),
  weights: z
    .strictObject({ dense: weight, keyword: weight })
    .refine(({ dense, keyword }) => dense + keyword > 0, 'one of them must be more than 0')
    .optional(),
}

const search = z.strictObject({
  type: z.literal('search'),
  id,
  ...searchFields,
  exact: z.boolean().default(false),
  explain: z.boolean().default(false),
  highlight: z.boolean().default(false),
  cursor: z.string().max(64).optional(),
  freshness: freshness.default('any'),
})

const subscribe = z.strictObject({
  type: z.literal('subscribe'),
  id,
  ...searchFields,
  minIntervalMs: z.number().int().min(0).max(LIMITS.minIntervalMsMax).default(100),
  resume: z.strictObject({ epoch: z.string().max(64), seq: z.number().int().min(0) }).optional(),
})

const publish = z.strictObject({
  type: z.literal('publish'),
  id,
  documents: z.array(publishItem).min(1).max(LIMITS.documentsMax),
  ...publishWish,
})

const wait = z.strictObject({
  type: z.literal('wait'),
  id,
  after: z.string().max(16_384),
  timeoutMs: timeoutMs.default(5_000),
})

export const clientMessage = z.discriminatedUnion('type', [
  search,
  subscribe,
  publish,
  wait,
  z.strictObject({ type: z.literal('cancel'), id }),
  z.strictObject({ type: z.literal('ping') }),
  z.strictObject({
    type: z.literal('init'),
    token: z.string().optional(),
    resume: z.strictObject({ connection: z.string() }).optional(),
  }),
])

export type SearchMessage = z.infer<typeof search>
export type SubscribeMessage = z.infer<typeof subscribe>
/** What a search and a standing query have in common. */
export type SearchWish = Omit<SubscribeMessage, 'type' | 'id' | 'minIntervalMs' | 'resume'>
export type PublishMessage = z.infer<typeof publish>
export type WaitMessage = z.infer<typeof wait>
export type FreshnessWish = z.infer<typeof freshness>
export type ClientMessage = z.infer<typeof clientMessage>

/** Why an operation ended; `retryable` says whether the same request may succeed later. */
export class OperationError extends Error {
  override name = 'OperationError'
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly retryAfterMs: number | undefined
  /** Headers of HTTP that say which limit it was. */
  readonly rate: Readonly<Record<string, string>>
  constructor(
    code: ErrorCode,
    message: string,
    {
      cause,
      retryAfterMs,
      rate = {},
    }: { cause?: unknown; retryAfterMs?: number; rate?: Readonly<Record<string, string>> } = {},
  ) {
    super(message, { cause })
    this.code = code
    this.retryable = code === 'timeout' || code === 'unavailable' || code === 'rate_limited' || code === 'too_stale'
    this.retryAfterMs = retryAfterMs
    this.rate = rate
  }
}

export const errorCodes = [
  'bad_request',
  'rejected',
  'unsupported',
  'not_found',
  'position_expired',
  'too_stale',
  'timeout',
  'unavailable',
  'rate_limited',
  'cancelled',
  'forbidden',
  'unauthenticated',
  'internal',
] as const
export type ErrorCode = (typeof errorCodes)[number]

/** The faults of a message in words: the field, what is wrong, what it was. */
export function faultsIn(error: z.ZodError, message: unknown): string {
  return error.issues
    .slice(0, 5)
    .map((issue) => {
      const path = issue.path.map(String).join('.')
      if (issue.code === 'unrecognized_keys')
        return `${issue.keys.map((key) => JSON.stringify(path ? `${path}.${key}` : key)).join(', ')} is not a field of this message; leave it out`
      const found = issue.path.reduce<unknown>(
        (value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key],
        message,
      )
      const shown = found === undefined ? 'missing' : JSON.stringify(found)?.slice(0, 60)
      return `${path || 'message'}: is ${shown}; ${issue.message}`
    })
    .join('. ')
}
