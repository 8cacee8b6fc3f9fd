import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Revision } from '../../processors/index-plan.ts'
import { type IndexPorts, indexVectors } from '../../processors/index-vectors.ts'
import { type MemoryIndex, memoryIndex } from '../../processors/memory-index.ts'
import type { Marker, VectorIndex } from '../../processors/vector-index.ts'
import { vectors } from '../../schemas/topics.ts'
import { StartOver } from '../../streams/errors.ts'
import { noLow } from '../../streams/low.ts'
import type { Batch, Input } from '../../streams/processor.ts'
import { type Chance, chanceOf } from './chance.ts'
import { revisionOf } from './protocol-model.ts'
import { applyBatch, begin, type Conversation, type Memory, type Operation, type ReadAnswer } from './protocol-owner.ts'
import { rules } from './protocol-rules.ts'

const RUNS = 300
const BATCHES = 6

interface Asked {
  readonly operation: Operation
  readonly answer: ReadAnswer | undefined
}

test('index-vectors asks of the index what the owner of the model asks, in any company and with any index', async () => {
  const kinds = new Map<string, number>()
  for (let seed = 1; seed <= RUNS; seed++) {
    const chance = chanceOf(seed, 11)
    const index = memoryIndex({ space: 'es_model' })
    const copies = [index.copy()]
    const ports = portsOf(index)
    const memory: Memory = { written: null }
    let offset = 0

    for (let i = 0; i < BATCHES; i++) {
      const batch = someBatch(chance, offset)
      offset += batch.records.length
      const asked: Asked[] = []
      const crowded = recording(index, asked, () => disturb(index, chance, copies, batch))
      memory.written = ports.markers.get(0) ?? null
      const now = 1_000 * (i + 1)
      const real = await outcomeOf(indexVectors.process(batch, { ...ports, index: crowded, now: () => now }))

      const revisions = batch.records.map(revisionIn)
      const modelled = replay(applyBatch({ ...batch, revisions, now }, memory, rules), asked)
      assert.deepEqual(
        modelled.asked,
        asked.map(({ operation }) => operation),
        `seed ${seed}, batch ${i}`,
      )
      assert.equal(modelled.result, real, `seed ${seed}, batch ${i}`)
      if (real === 'applied') assert.deepEqual(memory.written, ports.markers.get(0))
      else ports.markers.delete(0)
      const shape = `${real} after ${asked.map(({ operation }) => operation.kind).join(' ')}`
      kinds.set(shape, (kinds.get(shape) ?? 0) + 1)
      copies.push(index.copy())
    }
  }

  // What was never met was not compared.
  for (const shape of [
    'applied after read settle read',
    'applied after read apply read settle read',
    'start over after read',
    'start over after read apply read settle read',
  ])
    assert.ok((kinds.get(shape) ?? 0) > 10, `${shape}: ${kinds.get(shape)}`)
  const again = [...kinds].filter(([shape]) => shape.startsWith('applied after read apply read read'))
  assert.ok(again.reduce((sum, [, count]) => sum + count, 0) > 20, JSON.stringify([...kinds]))
})

test('index-vectors begins where the owner of the model begins', async () => {
  for (const applied of [null, 0, 3, 7]) {
    for (const committed of [0, 2, 4, 8]) {
      const index = memoryIndex({ space: 'es_model' })
      if (applied !== null) await index.settle([], markerOf(applied), null, 0)
      const ports = portsOf(index)
      const asked: Asked[] = []
      const at = { partition: 0, topicId: 't', committed, committedAt: 0, start: 0, end: 10, stillOurs: () => true }

      const place = await indexVectors.start!(at, { ...ports, index: recording(index, asked, async () => {}) })

      const memory: Memory = { written: null }
      const modelled = replay(begin(committed, memory, rules), asked)
      assert.deepEqual(
        modelled.asked,
        asked.map(({ operation }) => operation),
      )
      assert.equal(place?.offset, modelled.result, `marker ${applied}, committed ${committed}`)
      assert.deepEqual(memory.written, ports.markers.get(0) ?? null)
    }
  }
})

function portsOf(index: MemoryIndex): IndexPorts {
  return { index, now: () => 0, markers: new Map(), compare: async () => noLow }
}

/** What is asked, with its answer; before each something may happen in the world. */
function recording(index: VectorIndex, asked: Asked[], before: () => Promise<void>): VectorIndex {
  return {
    ...index,
    async read(keys, partition) {
      await before()
      const answer = await index.read(keys, partition)
      asked.push({ operation: { kind: 'read', keys: [...keys] }, answer })
      return answer
    },
    async apply(writes, connection) {
      await before()
      await index.apply(writes, connection)
      asked.push({ operation: { kind: 'apply', writes }, answer: undefined })
    },
    async settle(left, marker, expected, connection) {
      await before()
      await index.settle(left, marker, expected, connection)
      asked.push({ operation: { kind: 'settle', left, marker, expected }, answer: undefined })
    },
  }
}

/** Another owner applies a batch of its own, or the index is replaced by an older copy. */
async function disturb(
  index: MemoryIndex,
  chance: Chance,
  copies: readonly ReturnType<MemoryIndex['copy']>[],
  { records }: Batch,
): Promise<void> {
  if (chance.hits(0.03)) return index.restore(chance.pick(copies))
  if (!chance.hits(0.2)) return
  const other = chance.hits(0.5)
    ? { records, through: 0 }
    : someBatch(chance, records[0]!.at.offset + chance.below(4) - 2)
  const shuffled = chance.hits(0.5) ? other.records : other.records.slice(0, 1)
  await outcomeOf(indexVectors.process({ ...someBatch(chance, 0), records: shuffled, through: -1 }, portsOf(index)))
}

const outcomeOf = (work: Promise<unknown>): Promise<'applied' | 'start over'> =>
  work.then(
    () => 'applied' as const,
    (error) => {
      if (error instanceof StartOver) return 'start over' as const
      throw error
    },
  )

/** The owner of the model is told what the real one was told, and says what it asks. */
function replay<Result>(
  owner: Conversation<Result>,
  asked: readonly Asked[],
): { asked: Operation[]; result: Result | null } {
  const operations: Operation[] = []
  let { value, done } = owner.next()
  for (let i = 0; !done && i <= asked.length; i++) {
    operations.push(value as Operation)
    ;({ value, done } = owner.next(asked[i]?.answer ?? { manifests: [], marker: null }))
  }
  return { asked: operations, result: done ? (value as Result) : null }
}

function someBatch(chance: Chance, offset: number): Batch {
  const count = 1 + chance.below(4)
  const records = Array.from({ length: count }, (_, i) => {
    const revision = Math.max(0, offset + i - (chance.hits(0.2) ? chance.below(4) : 0))
    return inputOf(chance.pick(['acme/a', 'acme/b']), offset + i, revision)
  })
  const through = offset + count - 1
  const signal = new AbortController().signal
  return { partition: 0, topicId: 't', records, through, epoch: 1, lowEpoch: 1, low: -1, asOf: through, signal }
}

/** A revision's content is a function of its offset, since a revision has one content. */
function inputOf(key: string, at: number, revision: number): Input {
  const texts =
    revision % 5 === 4 ? null : Array.from({ length: 1 + (revision % 3) }, (_, i) => 'ab'[(revision >> i) % 2]!)
  const value = revisionOf(key, revision, texts).vectors
  const headers = { position: `0:${revision}:0` }
  return {
    topic: vectors,
    at: { topic: 'vectors', partition: 0, offset: at },
    key,
    value,
    bytes: 1,
    timestamp: 0,
    headers,
  }
}

function revisionIn({ key, value, headers }: Input): Revision {
  const offset = Number(headers.position!.split(':')[1])
  const fence = { epoch: 1, offset, derivation: 0 }
  return { key, partition: 0, fence, vectors: value as Revision['vectors'], rejected: null }
}

const markerOf = (applied: number): Marker => ({
  partition: 0,
  topicId: 't',
  applied,
  epoch: 1,
  low: -1,
  at: 0,
  written: 1,
})
