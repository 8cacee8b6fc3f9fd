import { createHash } from 'node:crypto'
import type { Chunk, Engine } from '../engine/embedder.ts'
import type { Document, DocumentVectors, Redo } from '../schemas/records.ts'
import { documents, redo, vectors } from '../schemas/topics.ts'
import { Reject, reasonOf } from '../streams/errors.ts'
import { revisionHeaders } from '../streams/outbox.ts'
import { erase, type Input, type Outcome, processor, put } from '../streams/processor.ts'
import { aclFault } from './clean-acl.ts'
import { hasLettersOrDigits } from './clean-characters.ts'
import { cleaningLimits } from './clean-text.ts'
import { checkKey } from './document-key.ts'
import { compareFences, type Fence } from './fence.ts'
import type { VectorCache } from './vector-cache.ts'
import type { Compare, KnownVectors, Manifest } from './vector-index.ts'

export interface EmbedPorts {
  readonly engine: Engine
  readonly known: KnownVectors
  readonly cache: VectorCache
  readonly now: () => number
  /** Decodes the untouched value inside a `redo` record. */
  readonly decodeDocument: (bytes: Buffer) => Promise<Document>
  readonly counted: (chunks: ChunkCounts) => void
  readonly compare: Compare
  /** Whether what is rejected becomes a dead letter, too: a space that is only on its way has none of its own. Default: it does. */
  readonly speaks?: () => boolean
}

/** Where the vectors of one document came from. */
export interface ChunkCounts {
  readonly embedded: number
  readonly fromCache: number
  readonly fromIndex: number
}

/** Splits each document and turns its chunks into vectors; text whose vector is known is not embedded again. */
export const embedDocuments = processor<EmbedPorts>({
  name: 'embed-documents',
  from: [documents, redo],
  to: [vectors],
  // Few bytes and many lanes: a large document has a lane of its own, and small ones overtake it. As many records as index-vectors takes at once, which pays for its requests by the batch.
  batch: { recordsMax: 64, bytesMax: 64 * 1024 },
  lanesMax: 8,
  checkKey,
  onReject: 'erase',
  watermark: { kind: 'carried', topic: vectors },
  away: { compare: (compared, { compare }) => compare(compared) },
  letters: (_, { speaks }) => speaks?.() ?? true,

  async process({ records, epoch, signal }, ports) {
    const received = String(ports.now())
    const works = await Promise.all(records.map((input) => workOf(input, epoch, ports)))
    const live = works.filter((work): work is Live => 'document' in work && work.document !== null)
    const manifests = await ports.known.manifests(live.map(({ key }) => key))
    // Where the index has this revision or a newer one already, a re-delivery costs this one read.
    const isNew = ({ fence }: Live, i: number) => compareFences(fence, manifests[i]?.fence ?? BEFORE_ALL) > 0
    const derivations = await Promise.all(
      live.flatMap((work, i) => (isNew(work, i) ? derivationOf(work, manifests[i] ?? null, ports) : [])),
    )
    await addFromIndex(derivations, ports)
    const byWork = new Map<Work, Derivation>(derivations.map((derivation) => [derivation.work, derivation]))
    // What each of them has embedded by then is kept: a batch that is tried again finds it, and no text is under way twice.
    return allOf(
      works.map(async (work): Promise<Outcome> => {
        if ('reject' in work) return work
        const headers = { ...work.headers, received }
        if (work.document === null) return { publish: [erase(vectors, work.key, headers)] }
        const derivation = byWork.get(work)
        if (derivation === undefined) return { publish: [] }
        return derive(derivation, headers, ports, signal)
      }),
    )
  },
})

/** As `Promise.all`, but nothing is under way any more when it rejects. */
async function allOf<T>(works: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(works)
  return Promise.all(works)
}

const BEFORE_ALL: Fence = { epoch: -1, offset: -1, derivation: -1 }

/** Records of a document are at most 8 MiB; this many chunks of the longest kind are well below it. */
export const CHUNKS_MAX = 1_000
/** Texts given to the engine at once, so that a large document takes turns with small ones. */
const SLICE_TEXTS = 16

/** Version of what this file does to a clean document (the space says the rest). */
export const derivingVersion = 'd1'

interface Work {
  readonly key: string
  readonly fence: Fence
  readonly document: Document | null
  /** What differs from the headers that the runtime gives: the revision of a document that came by `redo`. */
  readonly headers: Record<string, string>
}

type Live = Work & { readonly document: Document }

/** A document on its way to its vectors. */
interface Derivation {
  readonly work: Live
  readonly manifest: Manifest | null
  readonly chunks: readonly Chunk[]
  /** Of each chunk's text. */
  readonly hashes: readonly string[]
  /** By hash: what need not be embedded. */
  readonly found: Map<string, Buffer>
  readonly fromCache: number
}

async function workOf(
  { topic, key, value, at, timestamp }: Input,
  epoch: number,
  { decodeDocument }: EmbedPorts,
): Promise<Work | (Outcome & { readonly reject: string })> {
  if (topic !== redo)
    return { key, fence: { epoch, offset: at.offset, derivation: 0 }, document: value as Document | null, headers: {} }
  const again = value as Redo | null
  if (again === null)
    return { reject: 'value: is null; a document is deleted in documents, not in redo', class: 'schema' }
  const fence: Fence = { epoch: again.epoch, offset: again.offset, derivation: again.derivation }
  let document: Document | null
  try {
    document = again.document === null ? null : await decodeDocument(again.document)
  } catch (error) {
    if (!(error instanceof Reject)) throw error
    return { reject: reasonOf(error), class: 'schema' }
  }
  const { position, ...revision } = revisionHeaders({ partition: at.partition, ...fence })
  return { key, fence, document, headers: { position: `${position}:${timestamp}`, ...revision } }
}

/** Splits, and takes from the cache what is known; a repair takes nothing on trust. */
async function derivationOf(work: Live, manifest: Manifest | null, { engine, cache }: EmbedPorts): Promise<Derivation> {
  const chunks = await engine.split(work.document.text)
  const hashes = chunks.map(({ text }) => createHash('sha256').update(text).digest('hex'))
  const found = new Map<string, Buffer>()
  if (chunks.length > CHUNKS_MAX || work.fence.derivation > 0)
    return { work, manifest: null, chunks, hashes, found, fromCache: 0 }
  for (const hash of hashes) {
    const vector = cache.get(hash)
    if (vector !== undefined) found.set(hash, vector)
  }
  return { work, manifest, chunks, hashes, found, fromCache: found.size }
}

/** What the cache does not know of documents that are in the index already is read from there, for all of them at once. */
async function addFromIndex(derivations: readonly Derivation[], { known }: EmbedPorts): Promise<void> {
  const asking = derivations.filter(({ hashes, found }) => hashes.some((hash) => !found.has(hash)))
  const manifests = asking.flatMap(({ manifest }) => (manifest?.content ? [manifest] : []))
  if (manifests.length === 0) return
  const vectors = await known.vectors(manifests)
  for (const { manifest, hashes, found } of asking) {
    if (manifest === null) continue
    for (const hash of hashes) {
      const vector = vectors.get(hash)
      if (vector !== undefined) found.set(hash, vector)
    }
  }
}

async function derive(
  derivation: Derivation,
  headers: Record<string, string>,
  ports: EmbedPorts,
  signal: AbortSignal,
): Promise<Outcome> {
  const { engine } = ports
  const { work, chunks, hashes } = derivation
  const { key, fence, document } = work
  if (chunks.length === 0 || !hasLettersOrDigits(document.text))
    return {
      reject: `text: has no letters or digits (${JSON.stringify(document.text.slice(0, 40))}); send the document's text, or delete the document with a null value`,
      class: 'content',
    }
  const endless = Object.entries(document.attributes).find(
    ([, value]) => typeof value === 'number' && !Number.isFinite(value),
  )
  if (endless !== undefined)
    return {
      reject: `attributes.${endless[0]}: ${endless[1]} is not a finite number; send a number or leave it out`,
      class: 'content',
    }
  // Whoever writes documents past our door may name nobody, which the index would take for everybody.
  const fault = aclFault(document.acl, cleaningLimits)
  if (fault !== null) return { reject: fault, class: 'content' }
  if (chunks.length > CHUNKS_MAX) {
    return {
      reject: `text: makes ${chunks.length} chunks, and ${CHUNKS_MAX} is the limit; split the document into several`,
      class: 'size',
    }
  }
  let vectorByHash: Map<string, Buffer>
  try {
    vectorByHash = await vectorsOf(derivation, ports, signal)
  } catch (error) {
    // A service elsewhere does not take one of its texts; the other documents of the batch have nothing to do with it.
    if (error instanceof Reject) return { reject: reasonOf(error), class: 'content' }
    throw error
  }
  const pipeline = `${document.cleaning || 'foreign'}+${derivingVersion}`
  const { title, url, language, attributes, acl } = document
  const value: DocumentVectors = {
    space: engine.space.id,
    ...fence,
    title,
    url,
    language,
    attributes,
    acl,
    pipeline,
    contentHash: contentHash(document, chunks, hashes),
    chunks: chunks.map(({ start, end, text }, i) => {
      const { indices, values } = engine.documentTerms(text, language)
      return {
        start,
        end,
        text,
        hash: hashes[i]!,
        vector: vectorByHash.get(hashes[i]!)!,
        termIndices: bytesOf(indices),
        termValues: bytesOf(values),
      }
    }),
  }
  return { publish: [put(vectors, key, value, { ...headers, embedded: String(ports.now()) })] }
}

/** The vector of each distinct text: known, or embedded now. */
async function vectorsOf(
  { chunks, hashes, found, fromCache }: Derivation,
  { engine, cache, counted }: EmbedPorts,
  signal: AbortSignal,
): Promise<Map<string, Buffer>> {
  const fromIndex = found.size - fromCache
  const texts = new Map(hashes.map((hash, i) => [hash, chunks[i]!.text]))
  const toEmbed = [...texts].filter(([hash]) => !found.has(hash))
  for (let i = 0; i < toEmbed.length; i += SLICE_TEXTS) {
    signal.throwIfAborted()
    const slice = toEmbed.slice(i, i + SLICE_TEXTS)
    const embedded = await engine.embed(
      slice.map(([, text]) => text),
      { as: 'document', signal },
    )
    for (const [j, [hash]] of slice.entries()) {
      const vector = bytesOf(embedded[j]!)
      found.set(hash, vector)
      // At once: where the next slice fails, this one is not paid for again.
      cache.set(hash, vector)
    }
  }
  for (const [hash, vector] of found) cache.set(hash, vector)
  counted({ embedded: toEmbed.length, fromCache, fromIndex })
  return found
}

/** Everything that the index holds of the document but ids and fence, in one order. */
function contentHash(
  { title, url, language, attributes, acl }: Document,
  chunks: readonly Chunk[],
  hashes: readonly string[],
): string {
  const ordered = Object.keys(attributes)
    .sort()
    .map((name) => [name, attributes[name]])
  const spans = chunks.map(({ start, end }, i) => [start, end, hashes[i]])
  return (
    createHash('sha256')
      // What has none has the hash that it had before there were any.
      .update(JSON.stringify([title, url, language, ordered, spans, ...(acl === null ? [] : [acl])]))
      .digest('hex')
  )
}

const bytesOf = (numbers: Float32Array | Uint32Array): Buffer =>
  Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength)
