import { documentKeyIn } from '../processors/document-key.ts'
import { documents, vectors } from '../schemas/topics.ts'
import type { Broker } from '../streams/broker.ts'
import { nameIn, type Scope } from '../streams/topic.ts'

/** The work that a rebuild of a collection is. */
export interface Estimate {
  readonly documents: number
  /** Present in the collection that serves. */
  readonly chunks: number
  /** Records of `vectors` that are to be applied, older versions of documents included. */
  readonly records: number
  /** Of the documents' latest records in `vectors`. */
  readonly bytes: number
  /** Chunks that must be embedded, since `vectors` does not have their document as it is now. */
  readonly embeddings: number
  /** ms; null where no rate is known. */
  readonly ms: number | null
  /** null where no price is configured. */
  readonly cost: number | null
}

export interface Rates {
  /** Records a second that index-vectors has applied in its busy time; null: not measured. */
  readonly recordsPerSecond: number | null
  /** What a rebuild is allowed. */
  readonly recordsPerSecondMax: number
  /** Of the model; null: not measured. */
  readonly chunksPerSecond: number | null
  readonly pricePerThousandEmbeddings: number | null
}

export function estimateOf(
  { documents, current, records, bytes }: Survey,
  present: { readonly documents: number; readonly chunks: number },
  { recordsPerSecond, recordsPerSecondMax, chunksPerSecond, pricePerThousandEmbeddings }: Rates,
): Estimate {
  const chunksEach = present.documents > 0 ? present.chunks / present.documents : 1
  const embeddings = Math.ceil((documents - current) * chunksEach)
  const fillMs = (records / Math.min(recordsPerSecondMax, recordsPerSecond ?? Number.POSITIVE_INFINITY)) * 1_000
  const embedMs = embeddings === 0 ? 0 : chunksPerSecond === null ? null : (embeddings / chunksPerSecond) * 1_000
  return {
    documents,
    chunks: present.chunks,
    records,
    bytes,
    embeddings,
    ms: embedMs === null ? null : fillMs + embedMs,
    cost: pricePerThousandEmbeddings === null ? null : (embeddings / 1_000) * pricePerThousandEmbeddings,
  }
}

export interface Survey {
  /** Keys whose latest record in `documents` is not a deletion. */
  readonly documents: number
  /** Those of them that `vectors` has as they are now. */
  readonly current: number
  readonly records: number
  readonly bytes: number
}

/** Reads `documents` and `vectors` once, a partition at a time: what is remembered of each key is two numbers. */
export async function survey(
  { broker, scope }: { broker: Broker; scope: Scope },
  signal: AbortSignal,
): Promise<Survey> {
  const total = { documents: 0, current: 0, records: 0, bytes: 0 }
  const derived = await broker.admin.offsets(nameIn(scope, vectors))
  const partitions = derived.length
  for (const { partition, end } of await broker.admin.offsets(nameIn(scope, documents))) {
    const latest = new Map<string, { offset: number; live: boolean }>()
    const source = { topic: nameIn(scope, documents), partition, from: 0, to: end, signal }
    for await (const { records } of broker.read(source)) {
      for (const { key: bytes, value, offset } of records) {
        const key = documentKeyIn(bytes, partition, partitions)
        if (key !== null) latest.set(key, { offset, live: value !== null })
      }
    }
    const made = new Map<string, { offset: number; bytes: number }>()
    const to = derived.find((each) => each.partition === partition)?.end ?? 0
    for await (const { records } of broker.read({ topic: nameIn(scope, vectors), partition, from: 0, to, signal })) {
      total.records += records.length
      for (const { key, value, headers } of records) {
        const offset = Number(headers.position?.toString('utf8').split(':')[1])
        if (key !== null && Number.isSafeInteger(offset))
          made.set(key.toString('utf8'), { offset, bytes: value?.length ?? 0 })
      }
    }
    for (const [key, { offset, live }] of latest) {
      if (!live) continue
      total.documents++
      const own = made.get(key)
      // A newer one came between the two reads.
      if (own === undefined || own.offset < offset) continue
      total.current++
      total.bytes += own.bytes
    }
  }
  return total
}
