import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { denseName, sparseName } from '../../connectors/qdrant/points.ts'
import type { Engine } from '../../engine/embedder.ts'
import { hasLettersOrDigits } from '../../processors/clean-characters.ts'
import { cleanDocument, type RawDocument } from '../../processors/clean-text.ts'
import type { Document } from '../../schemas/records.ts'
import { Reject } from '../../streams/errors.ts'
import type { RejectClass } from '../../streams/processor.ts'

/** F, put together once more from its parts: what the index must hold of a document. */
export interface Derived {
  readonly pipeline: string
  readonly chunks: readonly DerivedChunk[]
}

export interface DerivedChunk {
  readonly start: number
  readonly end: number
  readonly text: string
  readonly hash: string
  readonly title: string | null
  readonly url: string | null
  readonly attributes: unknown
  readonly acl: readonly string[] | null
  readonly checksum: number
  /** As `index-points.ts` tells vectors: by name, in hex. */
  readonly vectors: Readonly<Record<string, string>>
}

/** A revision that can never be served, and the class of its dead letter. */
export interface Rejected {
  readonly rejected: RejectClass
}

/** Derives a document for the index; the second time the same one costs nothing. */
export function deriver(engine: Engine): (document: Document) => Promise<Derived | Rejected> {
  const known = derivedBy.get(engine) ?? new Map<string, Promise<Derived | Rejected>>()
  derivedBy.set(engine, known)
  return (document) => {
    const name = contentOf(document)
    const derived = known.get(name) ?? derive(document, engine)
    known.set(name, derived)
    return derived
  }
}

const derivedBy = new WeakMap<Engine, Map<string, Promise<Derived | Rejected>>>()

/** The promise of docs/guarantees.md: a document of more chunks is rejected. */
const CHUNKS_MAX = 1_000
/** The version of F that this oracle expects; it goes up with `DERIVING` in processors/embed-documents.ts. */
const DERIVING = 'd1'

async function derive(document: Document, engine: Engine): Promise<Derived | Rejected> {
  const { title, url, language, attributes, acl } = document
  if (Object.values(attributes).some((value) => typeof value === 'number' && !Number.isFinite(value)))
    return { rejected: 'content' }
  // What a test makes by hand may have none at all, as a document of an older producer.
  if (acl != null && !isSound(acl)) return { rejected: 'content' }
  const chunks = hasLettersOrDigits(document.text) ? await engine.split(document.text) : []
  if (chunks.length === 0) return { rejected: 'content' }
  if (chunks.length > CHUNKS_MAX) return { rejected: 'size' }
  const dense = await engine.embed(
    chunks.map(({ text }) => text),
    { as: 'document' },
  )
  return {
    pipeline: `${document.cleaning || 'foreign'}+${DERIVING}`,
    chunks: chunks.map(({ start, end, text }, i) => {
      const { indices, values } = engine.documentTerms(text, language)
      return {
        start,
        end,
        text,
        hash: createHash('sha256').update(text).digest('hex'),
        title,
        url,
        attributes: ordered(attributes),
        acl: acl ?? null,
        checksum: crc32(bytesOf(dense[i]!)),
        vectors: {
          [denseName(engine.space.id)]: ` ${bytesOf(dense[i]!).toString('hex')}`,
          [sparseName(engine.space.id)]: `${indices.join(',')} ${bytesOf(values).toString('hex')}`,
        },
      }
    }),
  }
}

/** The promise of docs/protocol.md: one group or more, and not the one that stands for all. */
const isSound = (acl: readonly string[]): boolean =>
  acl.length > 0 && acl.length <= 64 && acl.every((group) => group !== '' && group !== '*' && group.length <= 256)

/** What `ingest` makes of a producer's document. */
export const cleaned = remembered((raw: RawDocument): Document | Rejected => {
  try {
    return cleanDocument(raw)
  } catch (error) {
    if (error instanceof Reject) return { rejected: 'content' }
    throw error
  }
})

/** Two documents of the same content have the same text here, whatever the order of their attributes. */
export const contentOf = remembered(({ title, text, url, language, attributes, acl, cleaning }: Document): string =>
  JSON.stringify([title, text, url, language, ordered(attributes), acl, cleaning], exactly),
)

/** JSON has one word, null, for every number that is not finite. */
function exactly(_name: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? `number ${value}` : value
}

export const ordered = (fields: unknown): unknown =>
  Object.entries((fields ?? {}) as object).sort(([a], [b]) => (a < b ? -1 : 1))

const bytesOf = (numbers: Float32Array): Buffer => Buffer.from(Float32Array.from(numbers).buffer)

/** The same object again costs nothing: a world is judged many times. */
function remembered<K extends object, V>(of: (value: K) => V): (value: K) => V {
  const known = new WeakMap<K, V>()
  return (value) => {
    const result = known.get(value) ?? of(value)
    known.set(value, result)
    return result
  }
}
