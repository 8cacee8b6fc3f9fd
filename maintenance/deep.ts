import type { Engine } from '../engine/embedder.ts'
import { type EmbedPorts, embedDocuments } from '../processors/embed-documents.ts'
import type { Document, DocumentVectors } from '../schemas/records.ts'
import { documents } from '../schemas/topics.ts'
import { noLow } from '../streams/low.ts'
import type { Publish } from '../streams/processor.ts'
import { type ConfirmContext, confirm, type Judged } from './confirm.ts'
import { type Held, isServing } from './findings.ts'
import { documentsIn } from './world.ts'

/** Derives sampled documents again and tells those that are not what the index serves. */
export interface DeepCheck {
  differing(
    context: ConfirmContext,
    keys: readonly string[],
  ): AsyncIterable<{ readonly judged: Judged; readonly detail: string }>
}

export function deepCheck(engine: Engine): DeepCheck {
  return {
    async *differing(context, keys) {
      const { world, partition } = context
      for await (const judged of confirm(context, keys)) {
        const { latest } = judged.expected
        if (judged.fault !== null || !latest?.live || !isServing(judged.held.manifest)) continue
        const at = { topic: documentsIn(world.scope), partition }
        for await (const { records } of world.broker.read({ ...at, from: latest.offset, to: latest.offset + 1 })) {
          const value = records.find(({ offset }) => offset === latest.offset)?.value
          if (!value) continue
          const document = (await world.serde.decode(documents, value)) as Document
          const derived = await derive(engine, judged.key, document, latest.offset)
          const detail = derived === null ? 'derived again it is rejected' : differenceOf(judged.held, derived)
          if (detail !== null) yield { judged, detail }
        }
      }
    },
  }
}

/** F of a document: what the embed stage publishes for it, with nothing taken from a cache. */
async function derive(
  engine: Engine,
  key: string,
  document: Document,
  offset: number,
): Promise<DocumentVectors | null> {
  const ports: EmbedPorts = {
    engine,
    known: { manifests: async (keys) => keys.map(() => null), vectors: async () => new Map() },
    cache: { get: () => undefined, set() {} },
    now: () => 0,
    decodeDocument: async () => document,
    counted() {},
    compare: async () => noLow,
  }
  const at = { topic: documents.name, partition: 0, offset }
  const input = { topic: documents, at, key, value: document, bytes: 0, timestamp: 0, headers: {} }
  const signal = new AbortController().signal
  const batch = {
    partition: 0,
    topicId: '',
    records: [input],
    through: offset,
    epoch: 0,
    low: -1,
    lowEpoch: 0,
    asOf: 0,
    signal,
  }
  const [outcome] = await embedDocuments.process(batch, ports)
  return outcome && 'publish' in outcome ? ((outcome.publish as readonly Publish[])[0]!.value as DocumentVectors) : null
}

/** In words; null: what is served is what it must be. */
export function differenceOf({ chunks, manifest }: Held, derived: DocumentVectors): string | null {
  const own = chunks
    .filter(({ payload, vectors }) => payload !== null && vectors !== null)
    .sort((a, b) => a.payload!.ordinal - b.payload!.ordinal)
  if (manifest!.contentHash !== derived.contentHash) return 'derived again it has another content'
  if (own.length !== derived.chunks.length) return `derived again it has ${derived.chunks.length} chunks`
  for (const [i, chunk] of derived.chunks.entries()) {
    const { payload, vectors } = own[i]!
    const is = [payload!.start, payload!.end, payload!.text, payload!.hash].join()
    if (is !== [chunk.start, chunk.end, chunk.text, chunk.hash].join())
      return `derived again chunk ${i} has another text`
    if (!vectors!.termIndices.equals(chunk.termIndices) || !vectors!.termValues.equals(chunk.termValues))
      return `derived again chunk ${i} has other terms`
    const cosine = cosineOf(vectors!.vector, chunk.vector)
    if (cosine < COSINE_MIN) return `derived again chunk ${i} has another vector (cosine ${cosine.toFixed(4)})`
  }
  return null
}

/** Another machine or runtime gives vectors that differ in their last bits: measured, they are far nearer than this. */
const COSINE_MIN = 0.99

function cosineOf(a: Buffer, b: Buffer): number {
  if (a.equals(b)) return 1
  if (a.length !== b.length) return -1
  let [dot, aa, bb] = [0, 0, 0]
  for (let i = 0; i < a.length; i += 4) {
    const [x, y] = [a.readFloatLE(i), b.readFloatLE(i)]
    dot += x * y
    aa += x * x
    bb += y * y
  }
  return dot / Math.sqrt(aa * bb || 1)
}

/** So many of all that are offered, each as likely as the others: the ones whose turn in a fixed shuffle comes first (Vitter's reservoir). */
export class Sample {
  readonly keys: string[] = []
  readonly #max: number
  readonly #random: () => number
  #offered = 0

  constructor(max: number, random: () => number = Math.random) {
    this.#max = max
    this.#random = random
  }

  offer(key: string): void {
    this.#offered++
    if (this.keys.length < this.#max) this.keys.push(key)
    else {
      const at = Math.floor(this.#random() * this.#offered)
      if (at < this.#max) this.keys[at] = key
    }
  }
}
