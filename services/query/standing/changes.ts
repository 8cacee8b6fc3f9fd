import { floatsOf, wordsOf } from '../../../connectors/qdrant/points.ts'
import { tenantOf } from '../../../processors/document-key.ts'
import type { DocumentVectors, Progress } from '../../../schemas/records.ts'
import { vectors } from '../../../schemas/topics.ts'
import type { StoredRecord, Tail } from '../../../streams/broker.ts'
import { type Clock, systemClock } from '../../../streams/clock.ts'
import { Fatal, Reject, Retry } from '../../../streams/errors.ts'
import { isLowKey, nameIn } from '../../../streams/topic.ts'
import type { Platform } from '../../platform.ts'
import type { ChangedDocument } from './touch-index.ts'

/** Who hears what the index has now. */
export interface ChangesHeard {
  /** Whether anybody would want to know of a change of this tenant. */
  wanted(tenant: string): boolean
  changed(document: ChangedDocument): void
  /** Something has changed, of whatever tenant. */
  moved(): void
  /** Something has changed, and it is not known what. */
  unknown(): void
  /** The index is another one than before: what was known of it counts no more. */
  replaced(): void
}

/**
 * Changes of documents, each told once the index has it: read from `vectors`, and held until the collection's `applied` in `progress` has
 * passed them. What was written before we listened, or is too much to hold, is told as unknown.
 */
export interface Changes {
  /** What `progress` says of the collection that serves. */
  progressed(progress: Progress): void
  /** Another collection serves, or another epoch began. */
  switched(): void
  close(): Promise<void>
}

export async function followChanges(
  { broker, serde, scope }: Pick<Platform, 'broker' | 'serde' | 'scope'>,
  partitions: number,
  heard: ChangesHeard,
  failed: (error: Error) => void,
  clock: Clock = systemClock,
): Promise<Changes> {
  const topic = nameIn(scope, vectors)
  const held = Array.from({ length: partitions }, (): StoredRecord[] => [])
  const applied = Array.from({ length: partitions }, (): number | null => null)
  /** Of what lies below these it is not known what it is. */
  let unknownBelow: number[] = Array.from({ length: partitions }, () => Number.POSITIVE_INFINITY)
  let heldBytes = 0
  let telling = Promise.resolve()

  const tell = async (records: readonly StoredRecord[]): Promise<void> => {
    for (const { key, value } of records) {
      const name = key!.toString('utf8')
      const tenant = tenantOf(name)
      if (!heard.wanted(tenant)) continue
      try {
        const decoded = value === null ? null : ((await serde.decode(vectors, value)) as DocumentVectors)
        if (decoded === null) heard.changed({ ...gone, tenant, key: name })
        else {
          const { attributes, acl } = decoded
          heard.changed({ tenant, key: name, attributes, acl, chunks: chunksOf(decoded) })
        }
      } catch (error) {
        // Whoever indexes cannot read it either: it is a deletion there.
        if (!(error instanceof Reject)) throw error
        heard.changed({ ...gone, tenant, key: name })
      }
    }
  }
  const release = (partition: number): void => {
    const through = applied[partition]
    if (through === null || through === undefined) return
    const queue = held[partition]!
    const count = queue.findIndex(({ offset }) => offset > through)
    const passed = queue.splice(0, count < 0 ? queue.length : count)
    if (passed.length === 0) return
    for (const record of passed) heldBytes -= bytesOf(record)
    heard.moved()
    telling = telling.then(() => tell(passed)).catch((error) => failed(error as Error))
  }

  /** What was told already may be applied again. */
  const forget = (partition: number): void => {
    unknownBelow[partition] = Math.max(unknownBelow[partition]!, (applied[partition] ?? -1) + 1)
  }

  let closed = false
  const follow = async (): Promise<Tail> => {
    const tail = await broker.tail({
      topics: [topic],
      from: 'end',
      failed: (error) => void lost(error),
      fetched({ partition, records }) {
        for (const record of records) {
          if (record.key === null || isLowKey(record.key)) continue
          held[partition]!.push(record)
          heldBytes += bytesOf(record)
        }
        release(partition)
        if (heldBytes > HELD_BYTES_MAX) drop()
      },
    })
    // After the tail, so that nothing lies between the two.
    const ends = await broker.admin.offsets(topic)
    unknownBelow = Array.from({ length: partitions }, (_, i) => ends.find(({ partition }) => partition === i)?.end ?? 0)
    return tail
  }
  /** What is held is too much, or of a topic that is gone. */
  const drop = (): void => {
    for (const [partition, queue] of held.entries()) {
      const last = queue.at(-1)
      if (last !== undefined) unknownBelow[partition] = Math.max(unknownBelow[partition]!, last.offset + 1)
      queue.length = 0
    }
    heldBytes = 0
  }
  /** `vectors` was deleted and created again, most likely: it is followed anew, and what came meanwhile is not known. */
  const lost = async (reason: Error): Promise<void> => {
    if (closed) return
    drop()
    applied.fill(null)
    for (;;) {
      await clock.wait(AGAIN_MS)
      if (closed) return
      try {
        tail = await follow()
        if (closed) return await tail.close()
        return heard.replaced()
      } catch (error) {
        if (!(error instanceof Retry))
          return failed(new Fatal('standing queries cannot follow vectors', { cause: reason }))
      }
    }
  }
  let tail = await follow()

  return {
    progressed({ partition, applied: through }) {
      const before = applied[partition]
      if (before === undefined || before === through) return
      if (before !== null && through < before) forget(partition)
      applied[partition] = through
      if (before !== null && through < before) return heard.replaced()
      if ((before ?? -1) + 1 < unknownBelow[partition]!) heard.unknown()
      release(partition)
    },
    switched() {
      for (const partition of applied.keys()) forget(partition)
      applied.fill(null)
      heard.replaced()
    },
    async close() {
      closed = true
      await tail.close()
      await telling
    },
  }
}

const gone = { attributes: {}, acl: null, chunks: [] }

function chunksOf({ chunks }: DocumentVectors): ChangedDocument['chunks'] {
  return chunks.map(({ vector, termIndices, termValues }) => ({
    vector: floatsOf(vector),
    terms: { indices: wordsOf(termIndices), values: floatsOf(termValues) },
  }))
}

const bytesOf = ({ key, value }: StoredRecord): number => (key?.length ?? 0) + (value?.length ?? 0)

/** Of records that the index does not have yet. */
const HELD_BYTES_MAX = 64 * 1024 * 1024
/** Between attempts to follow a topic that is not there. */
const AGAIN_MS = 1_000
