import { randomBytes } from 'node:crypto'
import { cleanDocument } from '../../processors/clean-text.ts'
import { checkKey } from '../../processors/document-key.ts'
import { documents } from '../../schemas/topics.ts'
import { tokenOf } from '../../search/freshness.ts'
import type { NewRecord, Producer } from '../../streams/broker.ts'
import { Reject, Retry, reasonOf } from '../../streams/errors.ts'
import { partitionOf } from '../../streams/partitioner.ts'
import { nameIn } from '../../streams/topic.ts'
import type { Platform } from '../platform.ts'
import type { Principal } from '../principal.ts'
import { type Cost, tokensIn } from '../quotas.ts'
import type { FreshnessFollower } from './freshness-follower.ts'
import { OperationError, type PublishMessage } from './protocol.ts'

export interface PublishPorts {
  readonly producer: Producer
  readonly platform: Platform
  readonly partitions: number
  readonly freshness: FreshnessFollower
}

/**
 * Our own door: the same validation and cleaning as `ingest-documents`, but at once, so that the caller gets the error and
 * nothing is written. Several documents: all or nothing. Resolves with a token when Kafka has them.
 */
export async function publish(
  { documents: items }: PublishMessage,
  by: Principal,
  { producer, platform, partitions, freshness }: PublishPorts,
): Promise<string> {
  const { serde, scope, epochs } = platform
  if (epochs.refusal !== null) throw new OperationError('unavailable', epochs.refusal, { retryAfterMs: 5_000 })
  const topic = nameIn(scope, documents)
  const records = items.map((item, i): NewRecord => {
    const key = `${by.tenant}/${item.id}`
    try {
      checkKey(key)
      const value =
        'delete' in item
          ? null
          : serde.encode(documents, cleanDocument({ ...emptyFields, ...item, attributes: item.attributes ?? {} }))
      return { topic, partition: partitionOf(key, partitions), key, value, headers: { traceparent: newTrace() } }
    } catch (error) {
      if (!(error instanceof Reject)) throw error
      throw new OperationError(
        'rejected',
        `documents.${i} (${JSON.stringify(item.id.slice(0, 100))}): ${reasonOf(error)}`,
        { cause: error },
      )
    }
  })
  try {
    return tokenOf(freshness.wrote(await producer.send(records), by))
  } catch (error) {
    if (error instanceof Reject) throw new OperationError('rejected', reasonOf(error), { cause: error })
    if (error instanceof Retry)
      throw new OperationError(
        'unavailable',
        `Kafka did not acknowledge: it is not known whether the documents were written; publish them again`,
        { cause: error, retryAfterMs: 1_000 },
      )
    throw error
  }
}

/** What the message brings in. A deletion has no text. */
export function costOf({ documents: items }: PublishMessage): Cost {
  const texts = items.map((item) => ('text' in item ? Buffer.byteLength(item.text) : 0))
  const ids = items.map(({ id }) => Buffer.byteLength(id))
  return {
    documents: items.length,
    bytes: sum(ids) + sum(texts),
    embeddedTokens: sum(texts.map(tokensIn)),
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0)

const emptyFields = { title: null, contentType: null, url: null, language: null }

/** W3C trace context: a new trace, sampled. */
const newTrace = (): string => `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`
