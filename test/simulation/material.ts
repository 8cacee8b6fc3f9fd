import type { Chunk, Engine, Terms } from '../../engine/embedder.ts'
import { hashEngine } from '../../engine/hash-engine.ts'
import type { Document, DocumentVectors, IngestPosition } from '../../schemas/records.ts'
import {
  catalogue,
  deadLetters,
  documents,
  inbox,
  indexed,
  ingestPositions,
  progress,
  vectors,
} from '../../schemas/topics.ts'
import { localRegistry } from '../../streams/registry.ts'
import { avroSerde, type Serde } from '../../streams/serde.ts'
import type { Scope } from '../../streams/topic.ts'

/** What does not depend on the seed, made once and shared by all seeds. */
export interface Material {
  readonly serde: Serde
  readonly scope: Scope
  readonly space: Engine['space']
  /** By name of the text: its chunks as the pipeline makes them. */
  readonly texts: readonly string[]
  chunksOf(text: string): readonly Chunk[]
  vectorOf(chunk: string): Float32Array
  termsOf(chunk: string): Terms
  /** A clean document, encoded. */
  documentOf(text: string): Buffer
  readonly engine: Engine
}

const WORDS = ['amber', 'birch', 'cedar']
const PARAGRAPHS_MAX = 3
/** About one paragraph: small documents of several chunks. */
const TOKENS_MAX = 14

export async function material(): Promise<Material> {
  const engine = hashEngine({ maxTokens: TOKENS_MAX })
  const scope: Scope = { prefix: '', space: engine.space.id }
  const serde = avroSerde(localRegistry(), scope)
  await serde.register(catalogue)
  const texts: string[] = []
  for (const word of WORDS)
    for (let count = 1; count <= PARAGRAPHS_MAX; count++)
      texts.push(
        Array.from({ length: count }, (_, i) => `Part ${i} of the ${word} text says what is to be found.`).join('\n\n'),
      )
  const split = new Map<string, readonly Chunk[]>()
  const embedded = new Map<string, Float32Array>()
  const terms = new Map<string, Terms>()
  const encoded = new Map<string, Buffer>()
  for (const text of [...texts, BLANK]) {
    split.set(text, await engine.split(text))
    encoded.set(text, serde.encode(documents, documentWith(text)))
    for (const { text: chunk } of split.get(text)!) {
      embedded.set(chunk, (await engine.embed([chunk], { as: 'document' }))[0]!)
      terms.set(chunk, engine.documentTerms(chunk, null))
    }
  }
  await readOnceEach(serde)
  return {
    serde,
    scope,
    space: engine.space,
    texts,
    chunksOf: (text) => split.get(text)!,
    vectorOf: (chunk) => embedded.get(chunk)!,
    termsOf: (chunk) => terms.get(chunk)!,
    documentOf: (text) => encoded.get(text)!,
    engine,
  }
}

/** A text without letters: whoever embeds rejects it. */
export const BLANK = '… — …'

const documentWith = (text: string): Document => ({
  title: null,
  text,
  url: null,
  language: null,
  attributes: {},
  acl: null,
  cleaning: 'c1',
})

/** The first decoding of a schema takes more turns than the others: it must not fall into a seed. */
async function readOnceEach(serde: Serde): Promise<void> {
  const vector: DocumentVectors = {
    space: '',
    epoch: 0,
    offset: 0,
    derivation: 0,
    title: null,
    url: null,
    language: null,
    attributes: {},
    acl: null,
    pipeline: '',
    contentHash: '',
    chunks: [],
  }
  const position: IngestPosition = { topic: '', partition: 0, next: 0, at: 0 }
  await serde.decode(documents, serde.encode(documents, documentWith('a')))
  await serde.decode(
    inbox,
    serde.encode(inbox, { text: 'a', contentType: null, title: null, url: null, language: null, attributes: {} }),
  )
  await serde.decode(vectors, serde.encode(vectors, vector))
  await serde.decodeLow(vectors, serde.encodeLow(vectors, 0, 0))
  await serde.decode(ingestPositions, serde.encode(ingestPositions, position))
  void [deadLetters, indexed, progress]
}
