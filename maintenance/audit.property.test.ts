import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { fenceText } from '../processors/fence.ts'
import type { IndexContents } from '../processors/index-contents.ts'
import { type Copy, chunkPlace, type MemoryIndex, memoryIndex, type StoredChunk } from '../processors/memory-index.ts'
import { type MemoryPipeline, memoryPipeline } from '../processors/memory-pipeline.ts'
import type { Manifest } from '../processors/vector-index.ts'
import { documents } from '../schemas/topics.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { random } from '../test/random.ts'
import { type AuditOptions, audit } from './audit.ts'
import type { Finding } from './audit-partition.ts'
import { memoryWorld } from './memory-world.ts'

/** The oracle: of each kind exactly the keys that were harmed are found, all are repaired in that pass, and the index equals the latest documents. */
const SEEDS = 1
const OF_EACH = 100
const PARTITIONS = 3
const TRAFFIC_KEYS = 60

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`${OF_EACH} faults of each kind beside traffic are found and repaired in one pass, and none falsely (seed ${seed})`, async () => {
    const next = random(seed)
    await using run = await opened()
    const names = Object.keys(faults)
    const keys = (name: string) => Array.from({ length: OF_EACH }, (_, i) => `acme/${name}-${i}`)
    const all = names.filter((name) => name !== 'unknown orphan').flatMap(keys)
    await run.driver.pipe(...all.map((key) => document(key, 'First')))
    const first = run.index.copy()
    await run.driver.pipe(...[...keys('stale'), ...keys('mixed')].map((key) => document(key, 'Second')))
    await run.driver.pipe(...keys('deleted orphan').map((key) => ({ key, value: null })))
    harm(run.index, new Past(first), (world) => {
      for (const name of names) for (const key of keys(name)) faults[name]!.make(world, key)
    })
    const traffic = await trafficOf(run, next)
    const findings: Finding[] = []

    const report = await audit(await memoryWorld(run, { partitions: PARTITIONS }), {
      repair: true,
      renew: true,
      bounds: { slicePointsMax: 200, keysMax: 400 },
      pace: traffic,
      found: (finding) => findings.push(finding),
    })
    await run.driver.advance(1_000)

    const keysOf = (state: Finding['state'], kind: string) =>
      findings.filter((each) => each.state === state && each.kind === kind).map(({ key }) => key)
    for (const kind of new Set(Object.values(faults).map((fault) => fault.kind))) {
      const harmed = names.filter((name) => faults[name]!.kind === kind).flatMap(keys)
      assert.deepEqual(keysOf('found', kind).sort(), harmed.toSorted(), `found as ${kind}`)
      assert.deepEqual(keysOf('repaired', kind).sort(), harmed.toSorted(), `repaired as ${kind}`)
    }
    assert.equal(report.inSync, true)
    assert.deepEqual(await run.differences(), [])
    assert.equal(run.index.chunks.size, run.index.served().length, 'chunks that nobody is shown are left')
  })
}

test('an audit beside traffic on every key finds nothing', async () => {
  let differing = 0
  for (let seed = 1; seed <= 4; seed++) {
    const next = random(seed)
    await using run = await opened(slowly(memoryIndex({ space }), next))
    const traffic = await trafficOf(run, next)
    for (let i = 0; i < 20; i++) await traffic()
    const findings: Finding[] = []
    const options: AuditOptions = {
      bounds: { slicePointsMax: 20, keysMax: 10, waitMs: 600_000 },
      pace: traffic,
      found: (finding) => findings.push(finding),
    }

    const world = await memoryWorld(run, { partitions: PARTITIONS })
    const slow = { ...world, contents: busy(world.contents, traffic) }
    const reports = [await audit(slow, options), await audit(slow, options)]

    assert.deepEqual(findings, [], `seed ${seed}`)
    differing += reports.reduce((sum, { differingBuckets }) => sum + differingBuckets, 0)
  }
  assert.ok(differing > 10, `only ${differing} buckets differed at the first look: there was hardly any traffic`)
})

interface World {
  readonly chunks: Map<string, StoredChunk>
  readonly manifests: Map<string, Manifest>
  /** As it was before the second revisions and the deletions. */
  readonly past: Past
}

const faults: Readonly<Record<string, { kind: string; make: (world: World, key: string) => void }>> = {
  'missing chunk': { kind: 'missing', make: (world, key) => world.chunks.delete(placeIn(world, key, 1)) },
  'missing manifest': { kind: 'missing', make: ({ manifests }, key) => manifests.delete(key) },
  'missing document': {
    kind: 'missing',
    make(world, key) {
      for (const place of placesIn(world, key)) world.chunks.delete(place)
      world.manifests.delete(key)
    },
  },
  stale: {
    kind: 'stale',
    make(world, key) {
      for (const place of placesIn(world, key)) world.chunks.delete(place)
      bringBack(world, key)
    },
  },
  'deleted orphan': { kind: 'orphan', make: bringBack },
  'unknown orphan': {
    kind: 'orphan',
    make(world, key) {
      const original = world.manifests.get(key.replace('unknown orphan', 'older'))!
      const partition = partitionOf(key, PARTITIONS)
      world.manifests.set(key, { ...original, key, partition })
      for (const place of placesIn(world, original.key)) {
        const chunk = world.chunks.get(place)!
        world.chunks.set(chunkPlace(key, chunk.fence, chunk.ordinal), { ...chunk, key, partition })
      }
    },
  },
  mixed: {
    kind: 'mixed',
    make(world, key) {
      world.chunks.delete(placeIn(world, key, 1))
      for (const [place, chunk] of world.past.chunksOf(key).slice(1)) world.chunks.set(place, chunk)
    },
  },
  'emptied payload': { kind: 'corrupted', make: changing((chunk) => ({ ...chunk, key: '' })) },
  'wrong vector': { kind: 'corrupted', make: changing((chunk) => ({ ...chunk, vector: turned(chunk.vector) })) },
  'wrong vector and checksum': {
    kind: 'corrupted',
    make: changing((chunk) => ({ ...chunk, vector: turned(chunk.vector), checksum: crc32(turned(chunk.vector)) })),
  },
  'wrong space': { kind: 'wrong-space', make: changing((chunk) => ({ ...chunk, space: 'es_other' })) },
  older: {
    kind: 'older',
    make: ({ manifests }, key) => manifests.set(key, { ...manifests.get(key)!, pipeline: 'c1+d0' }),
  },
  garbage: {
    kind: 'garbage',
    make(world, key) {
      const chunk = world.chunks.get(placeIn(world, key, 0))!
      // A revision before the one that is there: what a zombie left.
      const offset = Math.max(0, chunk.offset - 1)
      const fence = fenceText({ epoch: offset === chunk.offset ? 0 : 1, offset, derivation: 0 })
      world.chunks.set(chunkPlace(key, fence, 0), { ...chunk, fence, offset })
    },
  },
}

function changing(to: (chunk: StoredChunk) => StoredChunk) {
  return (world: World, key: string): void => {
    const place = placeIn(world, key, 1)
    world.chunks.set(place, to(world.chunks.get(place)!))
  }
}

function bringBack(world: World, key: string): void {
  world.manifests.set(key, world.past.manifests.get(key)!)
  for (const [place, chunk] of world.past.chunksOf(key)) world.chunks.set(place, chunk)
}

/** The index at an earlier time. */
class Past {
  readonly manifests: ReadonlyMap<string, Manifest>
  readonly #chunks: ReadonlyMap<string, (readonly [string, StoredChunk])[]>

  constructor({ manifests, chunks }: Copy) {
    this.manifests = new Map(manifests)
    this.#chunks = Map.groupBy(chunks, ([, { key }]) => key)
  }

  chunksOf(key: string): readonly (readonly [string, StoredChunk])[] {
    return this.#chunks.get(key)!
  }
}

const placeIn = ({ manifests }: World, key: string, ordinal: number): string =>
  chunkPlace(key, manifests.get(key)!.content!, ordinal)
const placesIn = (world: World, key: string): string[] =>
  Array.from({ length: world.manifests.get(key)!.chunks }, (_, ordinal) => placeIn(world, key, ordinal))

/** Changes the index behind everybody's back. */
function harm(index: MemoryIndex, past: Past, make: (world: World) => void): void {
  const copy = index.copy()
  const [chunks, manifests] = [new Map(copy.chunks), new Map(copy.manifests)]
  make({ chunks, manifests, past })
  index.restore({ ...copy, chunks: [...chunks], manifests: [...manifests] })
}

/** New revisions, deletions and poison of keys of its own, sent after each piece of the audit and not waited for. */
async function trafficOf({ driver }: MemoryPipeline, next: () => number): Promise<() => Promise<void>> {
  const producer = await driver.broker.producer()
  let count = 0
  return async () => {
    const records = Array.from({ length: Math.floor(next() * 4) }, () => {
      const key = `acme/traffic-${Math.floor(next() * TRAFFIC_KEYS)}`
      const kind = next()
      const { value } = document(key, `Version ${count++}`, 1 + Math.floor(next() ** 2 * 60))
      const bytes = kind < 0.2 ? null : kind < 0.25 ? Buffer.from('not Avro') : driver.serde.encode(documents, value)
      return { topic: documents.name, partition: partitionOf(key, PARTITIONS), key, value: bytes }
    })
    await producer.send(records)
    await turns(next() * 12)
  }
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** An index whose writes take a while. */
function slowly(index: MemoryIndex, next: () => number): MemoryIndex {
  return {
    ...index,
    async apply(writes, connection) {
      await turns(next() * 40)
      await index.apply(writes, connection)
      await turns(next() * 40)
    },
    async settle(left, marker, expected, connection) {
      await turns(next() * 40)
      await index.settle(left, marker, expected, connection)
    },
  }
}

/** Something happens in the world before each answer of the index, and after it. */
function busy(contents: IndexContents, meanwhile: () => Promise<void>): IndexContents {
  const during =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      await meanwhile()
      const answer = await call(...args)
      await meanwhile()
      return answer
    }
  return {
    ...contents,
    marker: during(contents.marker),
    manifestsOf: during(contents.manifestsOf),
    chunksAt: during(contents.chunksAt),
    chunksOf: during(contents.chunksOf),
  }
}

const turned = (vector: Buffer): Buffer => Buffer.from(vector.map((_, i) => vector[(i + 4) % vector.length]!))

const space = 'es_68617368656e6769'
const opened = (index: MemoryIndex = memoryIndex({ space })): Promise<MemoryPipeline> =>
  memoryPipeline({ from: 'documents', partitions: PARTITIONS, index })

/** Of at least two chunks, unless it is told otherwise. */
const document = (key: string, version: string, sentences = 30) => ({
  key,
  value: {
    title: null,
    text: Array.from({ length: sentences }, (_, i) => `${version} sentence ${i} of ${key} says nothing.`).join(' '),
    url: null,
    language: null,
    attributes: {},
    cleaning: 'c1',
  },
})
