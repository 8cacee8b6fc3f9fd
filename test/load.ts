import { random } from '../infra/local/qdrant/requests.ts'
import { cleanDocument } from '../processors/clean-text.ts'
import { documents } from '../schemas/topics.ts'
import type { NewRecord, Producer } from '../streams/broker.ts'
import { partitionOf } from '../streams/partitioner.ts'
import type { Platform } from './platform.ts'

/** Records for `documents` as an unkind world writes them, the same for the same seed. */
export interface Load {
  /** Writes this many records; resolves when Kafka has them. */
  write(records: number): Promise<void>
  /** A number in [0, 1). */
  next(): number
}

/** Of the records: 20 % deletes (a third of the keys comes back later), 5 % poison of three kinds, 5 % the same text again and again, the rest of 1 to 60 sentences. */
export async function openLoad(platform: Platform, seed: number): Promise<Load> {
  const producer: Producer = await platform.broker.producer()
  const next = random(seed)
  const keys = loadKeys(platform.tenant)
  let count = 0
  const record = (): NewRecord => {
    const key = keys[Math.floor(next() * keys.length)]!
    const partition = partitionOf(key, platform.partitions)
    const kind = next()
    count++
    const at = { topic: platform.topic(documents), partition, key }
    if (kind < 0.2) return { ...at, value: null }
    if (kind > 0.95) return { ...at, value: encoded('The same again', 3) }
    if (kind < 0.22) return { ...at, value: Buffer.from('not Avro') }
    if (kind < 0.24) return { ...at, partition: (partition + 1) % platform.partitions, value: encoded('misplaced', 1) }
    if (kind < 0.25)
      return {
        ...at,
        key: 'no tenant',
        partition: partitionOf('no tenant', platform.partitions),
        value: encoded('lost', 1),
      }
    return { ...at, value: encoded(`Revision ${count} of ${key}`, 1 + Math.floor(next() ** 3 * 60)) }
  }
  const encoded = (about: string, sentences: number): Buffer =>
    platform.serde.encode(
      documents,
      cleanDocument({
        text: Array.from({ length: sentences }, (_, i) => `${about}, sentence ${i}, of the load.`).join(' '),
        contentType: null,
        title: null,
        url: null,
        language: null,
        attributes: {},
      }),
    )
  return {
    next,
    async write(records) {
      await producer.send(Array.from({ length: records }, record))
    },
  }
}

/** All keys of a load that belong to a document. */
export const loadKeys = (tenant: string): string[] => Array.from({ length: 60 }, (_, i) => `${tenant}/load-${i}`)
