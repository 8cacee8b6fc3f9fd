import { SOURCE } from '../processors/ingest-documents.ts'
import type { Manifest, VectorIndex } from '../processors/vector-index.ts'
import { documents } from '../schemas/topics.ts'
import type { Broker, StoredRecord } from '../streams/broker.ts'
import { replayOf } from '../streams/dead-letters.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { nameIn, type Scope } from '../streams/topic.ts'
import type { Known, LatestRecord } from './dead-letters.ts'
import { recordAt } from './read-letters.ts'

export interface KnownPorts {
  readonly broker: Pick<Broker, 'admin' | 'read'>
  readonly scope: Scope
  readonly index: Pick<VectorIndex, 'read'>
  readonly epoch: number
}

export interface Looked {
  readonly known: ReadonlyMap<string, Known>
  /** By partition of `documents`: its end when the look began. Whatever the answers do not know lies there or later. */
  readonly ends: ReadonlyMap<number, number>
}

/**
 * What `documents` and the index have of these keys now. What is at or below the index's watermark is in the index, so only
 * what lies above it is read from the log, and one record for each key that has not changed there.
 */
export async function lookAt(keys: readonly string[], ports: KnownPorts): Promise<Looked> {
  const { broker, scope, index, epoch } = ports
  const topic = nameIn(scope, documents)
  const offsets = await broker.admin.offsets(topic)
  const known = new Map<string, Known>()
  for (const [partition, own] of Map.groupBy(new Set(keys), (key) => partitionOf(key, offsets.length))) {
    const manifests = new Map<string, Manifest>()
    let low = Number.POSITIVE_INFINITY
    for (let i = 0; i < own.length; i += KEYS_PER_READ) {
      const some = own.slice(i, i + KEYS_PER_READ)
      const read = await index.read(some, partition)
      low = Math.min(low, read.marker?.low ?? -1)
      for (const [j, manifest] of read.manifests.entries())
        if (manifest?.fence.epoch === epoch) manifests.set(some[j]!, manifest)
    }
    const { end } = offsets.find((each) => each.partition === partition)!
    const latest = new Map<string, LatestRecord>()
    const wanted = new Set(own)
    for await (const { records } of broker.read({ topic, partition, from: low + 1, to: end })) {
      for (const record of records) {
        const key = record.key?.toString('utf8')
        if (key !== undefined && wanted.has(key)) latest.set(key, latestOf(record))
      }
    }
    for (const key of own) {
      const manifest = manifests.get(key) ?? null
      let record = latest.get(key) ?? null
      if (record === null && manifest !== null) {
        const stored = await recordAt(broker, { topic, partition, offset: manifest.fence.offset })
        record = stored === null ? null : latestOf(stored)
      }
      known.set(key, { manifest, latest: record })
    }
  }
  return { known, ends: new Map(offsets.map(({ partition, end }) => [partition, end])) }
}

const KEYS_PER_READ = 256

function latestOf({ partition, offset, timestamp, value, headers }: StoredRecord): LatestRecord {
  const [, topicId, at, sourceOffset] = /^([^/]*)\/(\d+)\/(\d+)$/.exec(headers[SOURCE]?.toString('utf8') ?? '') ?? []
  return {
    partition,
    offset,
    timestamp,
    deletes: value === null,
    source: topicId === undefined ? null : { topicId, partition: Number(at), offset: Number(sourceOffset) },
    replayOf: replayOf(headers),
  }
}
