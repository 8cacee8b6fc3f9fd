import { connectQdrant } from '../connectors/qdrant/client.ts'
import { qdrantIndex } from '../connectors/qdrant/vector-index.ts'
import type { Engine } from '../engine/embedder.ts'
import { planKey } from '../processors/index-plan.ts'
import type { VectorChunk } from '../schemas/records.ts'
import { random } from '../test/random.ts'
import type { BenchContext } from './bench.ts'
import { paragraphs, questions } from './corpus.ts'
import { type Door, doorsOf } from './doors.ts'
import { ownEngine, type Platform, tenant } from './platform.ts'
import { type Figure, Figures, percentile } from './report.ts'

/**
 * Hybrid searches over WebSocket and over HTTP, so many at a time, on an index of so many chunks: as a whole, and the parts that the answer
 * tells. The worker's own code puts the chunks there; their texts and terms are real, their vectors those of real texts, each moved a
 * little, since to embed as many would take half an hour.
 */
export async function search({ rounds, stack, open, say }: BenchContext): Promise<Figure[]> {
  await using platform = await open('search')
  const engine = await ownEngine(stack, 1)
  const texts = paragraphs(TEXTS).map(({ text }) => text)
  const fill = await filling(platform, engine, texts, stack.urls.qdrant)
  await engine.close()
  const asked = questions(paragraphs(TEXTS), SEARCHES)
  const doors = await doorsOf(`127.0.0.1:${stack.ports.query}`)
  const figures = new Figures()
  for (const size of SIZES) {
    const began = performance.now()
    await fill(size)
    say(`${size} chunks are in the index, after ${((performance.now() - began) / 1_000).toFixed(0)} s`)
    await searches(doors[0]!, asked.slice(0, WARM_UP), 4)
    for (let round = 0; round < rounds; round++)
      for (const atATime of AT_A_TIME)
        for (const door of round % 2 === 0 ? doors : doors.toReversed()) {
          const samples = await searches(door, asked, atATime)
          const name = `${size / 1_000}k chunks, ${atATime} at a time, ${door.name}`
          for (const percent of [50, 95, 99])
            figures.add(`${name}: p${percent}`, 'ms', percentile(samples.all, percent))
          for (const part of ['embed', 'search'] as const)
            for (const percent of [50, 99])
              figures.add(`${name}: ${part} p${percent}`, 'ms', percentile(samples[part], percent))
          figures.add(`${name}: the rest, p50`, 'ms', percentile(samples.rest, 50))
        }
    say(`${size}: done`)
  }
  for (const door of doors) door.close()
  return figures.all()
}

/** Answers what makes the index have so many chunks. */
async function filling(platform: Platform, engine: Engine, texts: readonly string[], url: string) {
  const { space, prefix } = platform.scope
  const spec = { collection: `${prefix}${space}`, space, dimensions: engine.space.dimensions }
  const index = qdrantIndex(connectQdrant({ url }), spec)
  const vectors = await Promise.all(texts.map(async (text) => (await engine.embed([text], { as: 'document' }))[0]!))
  const terms = texts.map((text) => engine.documentTerms(text, null))
  const next = random(20_261_124)
  const chunk = (i: number): VectorChunk => {
    const text = texts[i % texts.length]!
    const { indices, values } = terms[i % texts.length]!
    return {
      start: 0,
      end: text.length,
      text,
      hash: '',
      vector: bytesOf(moved(vectors[i % texts.length]!, next)),
      termIndices: bytesOf(indices),
      termValues: bytesOf(values),
    }
  }
  let present = 0
  return async (size: number): Promise<void> => {
    while (present < size) {
      const { connection } = await index.read([], 0)
      const writes = Array.from({ length: DOCUMENTS_AT_ONCE }, () => {
        const chunks = Array.from({ length: CHUNKS_OF_A_DOCUMENT }, () => chunk(present++))
        const fence = { epoch: 1, offset: present, derivation: 0 }
        const said = { title: null, url: null, language: null, attributes: {}, acl: null, pipeline: 'bench' }
        const document = { ...fence, ...said, space, contentHash: String(present), chunks }
        const revision = { key: `${tenant}/filled-${present}`, partition: 0, fence, vectors: document, rejected: null }
        return planKey([revision], null).write!
      })
      await index.apply(writes, connection)
    }
  }
}

/** As near to it as another text about the same, and not as near as the same text. */
function moved(vector: Float32Array, next: () => number): Float32Array {
  const other = vector.map((each) => each + (next() - 0.5) * (2 / Math.sqrt(vector.length)))
  const length = Math.hypot(...other)
  return other.map((each) => each / length)
}

const bytesOf = (array: Float32Array | Uint32Array): Buffer =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength)

interface Samples {
  readonly all: number[]
  readonly embed: number[]
  readonly search: number[]
  readonly rest: number[]
}

async function searches(door: Door, asked: readonly string[], atATime: number): Promise<Samples> {
  const samples: Samples = { all: [], embed: [], search: [], rest: [] }
  const queue = asked.values()
  const one = async (): Promise<void> => {
    // Several take from one queue.
    for (const query of queue) {
      const began = performance.now()
      const { ms, hits } = await door.search({ query, k: 10 })
      const all = performance.now() - began
      if (hits.length < 10) throw new Error(`${JSON.stringify(query)} finds ${hits.length} hits`)
      samples.all.push(all)
      samples.embed.push(ms.embed)
      samples.search.push(ms.search)
      samples.rest.push(all - ms.embed - ms.search)
    }
  }
  await Promise.all(Array.from({ length: atATime }, one))
  return samples
}

const SIZES = [10_000, 100_000]
const AT_A_TIME = [1, 4, 16]
const TEXTS = 1_000
const CHUNKS_OF_A_DOCUMENT = 10
const DOCUMENTS_AT_ONCE = 20
const SEARCHES = 200
const WARM_UP = 50
