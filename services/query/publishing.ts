import { randomBytes } from 'node:crypto'
import { checkTypes } from '../../processors/clean-attributes.ts'
import { type CleanDocument, cleanDocument } from '../../processors/clean-text.ts'
import { checkKey } from '../../processors/document-key.ts'
import { documents } from '../../schemas/topics.ts'
import { type DeclaredAttributes, undeclaredIn } from '../../search/attributes.ts'
import { type Positions, tokenOf } from '../../search/freshness.ts'
import type { NewRecord, Producer } from '../../streams/broker.ts'
import { Reject, Retry, reasonOf } from '../../streams/errors.ts'
import { partitionOf } from '../../streams/partitioner.ts'
import { nameIn } from '../../streams/topic.ts'
import type { Platform } from '../platform.ts'
import type { Principal } from '../principal.ts'
import { type Cost, tokensIn } from '../quotas.ts'
import type { FreshnessFollower } from './freshness-follower.ts'
import { OperationError, type PublishItem, type PublishMessage } from './protocol.ts'

export interface PublishPorts {
  readonly producer: Producer
  readonly platform: Platform
  readonly partitions: number
  readonly freshness: FreshnessFollower
  readonly attributes: DeclaredAttributes
}

/**
 * Our own door: the same validation and cleaning as `ingest-documents`, but at once, so that the caller gets the error and
 * nothing is written. Several documents: all or nothing. Resolves with a token when Kafka has them.
 */
export async function publish(
  { documents: items }: PublishMessage,
  by: Principal,
  ports: PublishPorts,
): Promise<string> {
  const records = items.map((item, i): NewRecord => {
    try {
      return recordOf(item, by, ports)
    } catch (error) {
      if (!(error instanceof Reject)) throw error
      throw new OperationError(
        'rejected',
        `documents.${i} (${JSON.stringify(item.id.slice(0, 100))}): ${reasonOf(error)}`,
        { cause: error },
      )
    }
  })
  return tokenOf(await write(records, by, ports))
}

/** Checked and cleaned. Throws `Reject` for what can never be indexed. */
export function recordOf(item: PublishItem, { tenant }: Principal, ports: PublishPorts): NewRecord {
  const { platform, partitions, attributes } = ports
  const { serde, scope } = platform
  const key = `${tenant}/${item.id}`
  checkKey(key)
  const value = 'delete' in item ? null : serde.encode(documents, checked(item, attributes))
  const topic = nameIn(scope, documents)
  return { topic, partition: partitionOf(key, partitions), key, value, headers: { traceparent: newTrace() } }
}

type Put = Exclude<PublishItem, { delete: true }>

function checked(item: Put, declared: DeclaredAttributes): CleanDocument {
  const document = cleanDocument({ ...emptyFields, ...item, attributes: item.attributes ?? {} })
  checkTypes(document.attributes, declared)
  return document
}

/** Resolves with where they lie when Kafka has them. Rejects with an `OperationError`. */
export async function write(
  records: readonly NewRecord[],
  by: Principal,
  { producer, platform: { epochs }, freshness }: PublishPorts,
): Promise<Positions> {
  if (epochs.refusal !== null) throw new OperationError('unavailable', epochs.refusal, { retryAfterMs: 5_000 })
  try {
    return freshness.wrote(await producer.send(records), by)
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

/** What whoever publishes these may not expect; empty where there is nothing to say. */
export function noticesOf(undeclared: readonly string[]): { notices?: string[] } {
  if (undeclared.length === 0) return {}
  const told = undeclared
    .slice(0, NOTICES_MAX)
    .map((name) => `attributes.${name}: stored, not declared: nothing can be filtered by it`)
  const more = undeclared.length - NOTICES_MAX
  return { notices: more > 0 ? [...told, `and ${more} attributes more`] : told }
}

const NOTICES_MAX = 16

/** Of their attributes, those that nothing can be filtered by. */
export const undeclaredOf = (
  items: readonly PublishItem[],
  { attributes }: Pick<PublishPorts, 'attributes'>,
): string[] =>
  undeclaredIn(
    items.map((item) => ('text' in item ? (item.attributes ?? {}) : {})),
    attributes,
  )

/** What they bring in. A deletion has no text. */
export function costOf(items: readonly PublishItem[]): Cost {
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
