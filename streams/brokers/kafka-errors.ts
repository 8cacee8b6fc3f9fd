import { Fatal, Fenced, Forbidden, Reject, Retry, reasonOf } from '../errors.ts'

/** The name of Kafka's error code, looked for in an error of kafkajs and its causes; null if the broker said nothing. */
export function kafkaCodeOf(error: unknown): string | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    const { type } = at as Error & { type?: unknown }
    if (typeof type === 'string') return type
  }
  return null
}

/** What the runtime is told of a failed request: almost always that the world is not well. */
export function asInstruction(error: unknown, doing: string): Error {
  if (error instanceof Retry || error instanceof Reject || error instanceof Fatal || error instanceof Fenced)
    return error
  const code = kafkaCodeOf(error)
  // kafkajs keeps the reason to itself.
  const unfound = error instanceof Error && error.name === 'KafkaJSGroupCoordinatorNotFound'
  const perhaps = unfound ? '; or we have no right to the group' : ''
  const message = `${doing}: ${reasonOf(error)}${perhaps}`
  if (code !== null && FENCED.has(code)) return Object.assign(new Fenced(message), { cause: error })
  if (code !== null && REFUSED.has(code)) return new Reject(message, { cause: error })
  if (code !== null && FORBIDDEN.has(code)) return new Forbidden(message, { cause: error })
  if (code !== null && HOPELESS.has(code)) return new Fatal(message, { cause: error })
  // With a code the broker did answer; it is there.
  return new Retry(message, { cause: error, ...(code === null && { state: 'kafka-unreachable' as const }) })
}

export const isTooLarge = (error: unknown): boolean => TOO_LARGE.has(kafkaCodeOf(error) ?? '')

const FENCED = new Set([
  'PRODUCER_FENCED',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_TXN_STATE',
  'INVALID_PRODUCER_ID_MAPPING',
])
const TOO_LARGE = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'])
/** Records that no later attempt would make acceptable, such as one without a key for a compacted topic. */
const REFUSED = new Set([...TOO_LARGE, 'INVALID_RECORD'])
const FORBIDDEN = new Set([
  'TOPIC_AUTHORIZATION_FAILED',
  'GROUP_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
])
const HOPELESS = new Set(['SASL_AUTHENTICATION_FAILED', 'INVALID_TOPIC_EXCEPTION'])
