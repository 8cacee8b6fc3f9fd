import { setTimeout as delay } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { documents, inbox } from '../schemas/topics.ts'
import type { Producer } from '../streams/broker.ts'
import { Reject, Retry } from '../streams/errors.ts'
import { type LoadEvent, loadEvents } from './load-events.ts'
import type { Sent } from './oracle/world.ts'
import type { Platform } from './platform.ts'
import { random } from './random.ts'

/** Records as an unkind world writes them, through both doors and for several tenants: the same for the same seed. */
export interface Load extends AsyncDisposable {
  /**
   * Writes this many records; resolves when Kafka has acknowledged them, or when it is in doubt whether it has them. `poison`: the
   * share of them that can never succeed, if it is not the load's.
   */
  write(records: number, options?: { readonly poison?: number }): Promise<void>
  /** The same with records of the caller's own. */
  send(events: readonly LoadEvent[]): Promise<void>
  /** Goes on writing at this pace until it is stopped. */
  flow(recordsPerSecond: number): Flow
  /** Everything that was sent, with what Kafka answered: what the oracle judges by. */
  readonly sent: readonly Sent[]
  /** A number in [0, 1), of the same seed. */
  next(): number
}

export interface Flow {
  /** Resolves when what was sent last is answered. */
  stop(): Promise<void>
}

export const loadTenants = ['acme', 'zenith'] as const
const KEYS_OF_TENANT = 30

/** All keys of a load that belong to a document, by door: a key comes by one only, so that its own records have an order. */
export const loadKeys = (tenant: string, door: Sent['door']): string[] =>
  Array.from({ length: KEYS_OF_TENANT }, (_, i) => `${tenant}/${door}-${i}`)

export async function openLoad(
  platform: Platform,
  seed: number,
  { poison = 0.05, inboxShare = 0.4 } = {},
): Promise<Load> {
  const producer: Producer = await platform.broker.producer()
  const next = random(seed)
  const sent: Sent[] = []
  const { partitions, serde, partitionOf } = platform
  const keys = {
    inbox: loadTenants.flatMap((tenant) => loadKeys(tenant, 'inbox')),
    documents: loadTenants.flatMap((tenant) => loadKeys(tenant, 'documents')),
  }
  const events = loadEvents({
    next,
    keys,
    poison,
    inboxShare,
    encode: { inbox: (value) => serde.encode(inbox, value), documents: (value) => serde.encode(documents, value) },
  })
  const topics = { inbox: platform.topic(inbox), documents: platform.topic(documents) }
  let count = 0

  const send = async (chosen: readonly LoadEvent[]): Promise<void> => {
    const batch = chosen.map(({ door, key, value, meant, misplaced }) => {
      // Foreign producers choose the partition of `inbox` by another hash, as librdkafka does.
      const home = door === 'inbox' ? crc32(key) % partitions : partitionOf(key)
      return { door, key, value, meant, partition: misplaced ? (home + 1) % partitions : home, mark: `s${count++}` }
    })
    const places = await producer
      .send(
        batch.map(({ door, partition, key, value, mark }) => ({
          topic: topics[door],
          partition,
          key,
          value,
          headers: { sent: mark },
        })),
      )
      .catch((error) => {
        if (error instanceof Retry || error instanceof Reject) return null
        throw error
      })
    for (const [i, { key, ...each }] of batch.entries())
      sent.push({ ...each, key: Buffer.from(key), offset: places?.[i]?.offset ?? null })
  }
  const write: Load['write'] = async (records, { poison: share } = {}) => {
    for (let left = records; left > 0; left -= SEND_RECORDS_MAX)
      await send(Array.from({ length: Math.min(left, SEND_RECORDS_MAX) }, () => events(share)))
  }
  return {
    next,
    sent,
    write,
    send,
    flow(recordsPerSecond) {
      const stopped = new AbortController()
      const flowing = (async () => {
        while (!stopped.signal.aborted) {
          await write(Math.ceil(recordsPerSecond / FLOWS_PER_SECOND))
          await delay(1_000 / FLOWS_PER_SECOND, undefined, { signal: stopped.signal }).catch(() => {})
        }
      })()
      flowing.catch(() => {})
      return {
        async stop() {
          stopped.abort()
          await flowing
        },
      }
    },
    [Symbol.asyncDispose]: () => producer.close(),
  }
}

/** A send that fails leaves no more than this many records in doubt. */
const SEND_RECORDS_MAX = 50
const FLOWS_PER_SECOND = 5
