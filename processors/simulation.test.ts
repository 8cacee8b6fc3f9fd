import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Receipt } from '../schemas/records.ts'
import { documents, indexed } from '../schemas/topics.ts'
import { Retry } from '../streams/errors.ts'
import { type Failing, faultyIndex } from './faulty-index.ts'
import { type Copy, memoryIndex } from './memory-index.ts'
import { type MemoryPipeline, memoryPipeline } from './memory-pipeline.ts'

/**
 * The whole pipeline under faults, by seed: answers of broker and index get lost, writes stop halfway, processes end without a
 * commit, the index is set back to an older copy, everything is delivered again. The oracle: what the index serves equals
 * what the pipeline would write for the latest documents.
 */
const SEEDS = 40
const STEPS = 25
const KEYS = ['acme/a', 'acme/b', 'acme/c', 'acme/d', 'acme/e']

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`after any faults the index equals the latest documents (seed ${seed})`, async () => {
    const random = mulberry32(seed)
    const chance = (share: number) => random() < share
    let share = 0
    const failing: Failing = () =>
      chance(share) ? (['before', 'midway', 'after'] as const)[Math.floor(random() * 3)]! : null
    const index = memoryIndex({ space: 'es_68617368656e6769' })
    await using run = await memoryPipeline({ from: 'documents', partitions: 2, index: faultyIndex(index, failing) })
    lose(run, () => chance(share))
    let copy: Copy | null = null
    const seen = new Map<string, number>()

    for (let step = 0; step < STEPS; step++) {
      share = chance(0.5) ? 0.25 : 0
      const what = random()
      if (what < 0.55)
        await run.driver.pipe(...Array.from({ length: 1 + Math.floor(random() * 4) }, () => someRecord(random)))
      else if (what < 0.7) await run.driver.restart()
      else if (what < 0.75) await run.driver.redeliver()
      else if (what < 0.8) copy = index.copy()
      else if (what < 0.85 && copy !== null) {
        index.restore(copy)
        seen.clear()
      } else await run.driver.advance(Math.floor(random() * 3_000))
      neverBack(index, seen)
    }
    share = 0
    for (let i = 0; i < 30; i++) await run.driver.advance(5_000)

    assert.equal(run.driver.failure, null)
    assert.deepEqual(await run.differences(), [])
    assert.deepEqual(await withoutReceipt(run), [])
    assert.equal(index.chunks.size, index.served().length, 'chunks that nobody is shown are left over')
  })
}

/** Requests that never arrive, and answers that are lost, on the way to the broker. */
function lose(run: MemoryPipeline, lost: () => boolean): void {
  // What the test itself sends arrives.
  const maybe = (what: string) => (records: unknown) => {
    const own = Array.isArray(records) && records.some(({ topic }) => topic === documents.name)
    if (!own && lost()) throw new Retry(`${what} was lost`)
  }
  Object.assign(run.driver.broker.faults, {
    beforeSend: maybe('a request'),
    afterSend: maybe('an answer'),
    beforeOffsetCommit: maybe('a commit'),
  })
}

function someRecord(random: () => number) {
  const key = KEYS[Math.floor(random() * KEYS.length)]!
  const what = random()
  if (what < 0.2) return { key, value: null }
  if (what < 0.25) return { key, bytes: Buffer.from('poison') }
  const sentences = 1 + Math.floor(random() ** 3 * 60)
  const word = Math.floor(random() * 3)
  const text = Array.from(
    { length: sentences },
    (_, i) => `Sentence ${i} of version ${word} says nothing that the others do not say.`,
  ).join(' ')
  return { key, value: { title: null, text, url: null, language: null, attributes: {}, cleaning: 'c1' } }
}

/** What a reader sees of a document is whole, of one revision, and never older than what it saw before. */
function neverBack(index: ReturnType<typeof memoryIndex>, seen: Map<string, number>): void {
  for (const [key, chunks] of Map.groupBy(index.served(), (chunk) => chunk.key)) {
    assert.equal(new Set(chunks.map(({ fence }) => fence)).size, 1, `${key} is mixed`)
    const offset = Number(chunks[0]!.fence.split(':')[1])
    assert.ok(offset >= (seen.get(key) ?? 0), `${key} went back from ${seen.get(key)} to ${offset}`)
    seen.set(key, offset)
  }
}

/** Every offset of `documents` has its receipt. */
async function withoutReceipt({ driver }: MemoryPipeline): Promise<string[]> {
  const answered = new Set((await driver.values(indexed)).map((value) => place(value as Receipt)))
  return (await driver.offsets(documents)).map(place).filter((each) => !answered.has(each))
}

const place = ({ partition, offset }: { partition: number; offset: number }): string => `${partition}/${offset}`

/** A small generator with a seed. Source: Tommy Ettinger's mulberry32, public domain. */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
