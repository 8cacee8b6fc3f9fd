import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { type Copy, chunkPlace, type MemoryIndex, memoryIndex, type StoredChunk } from '../processors/memory-index.ts'
import { type MemoryPipeline, memoryPipeline } from '../processors/memory-pipeline.ts'
import type { Manifest } from '../processors/vector-index.ts'
import { positionsOf } from '../search/freshness.ts'
import { Retry } from '../streams/errors.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { audit } from './audit.ts'
import { deepCheck } from './deep.ts'
import { memoryWorld } from './memory-world.ts'
import type { AuditWorld } from './world.ts'

const PARTITIONS = 2

test('an index that equals documents is in sync, as of everything that is there', async () => {
  await using run = await opened()
  await run.driver.pipe(document('acme/a'), document('acme/b', 40), { key: 'acme/c', value: null }, poison('acme/d'))
  await run.driver.pipe({ key: 'acme/a', value: null }, document('acme/e'))

  const report = await audit(await memoryWorld(run, { partitions: PARTITIONS }))

  const ends = await run.driver.broker.admin.offsets('documents')
  assert.deepEqual(positionsOf(report.token), {
    epoch: 1,
    documents: Object.fromEntries(ends.map(({ partition, end }) => [partition, end - 1])),
  })
  assert.equal(report.inSync, true)
  assert.deepEqual(foundIn(report), {})
  assert.deepEqual([report.documents, report.chunks > 2, report.differingBuckets], [2, true, 0])
})

const faults: Readonly<Record<string, { kind: string; make: (world: Mutable) => void }>> = {
  'a document that is not there': { kind: 'missing', make: ({ manifests }) => manifests.delete('acme/long') },
  'a chunk that is not there': { kind: 'missing', make: ({ chunks, place }) => chunks.delete(place(1)) },
  'a document that documents does not have': {
    kind: 'orphan',
    make: (world) => orphan(world, 'acme/nobody'),
  },
  'a document that was deleted': {
    kind: 'orphan',
    make: (world) => {
      const { fence } = world.manifests.get('acme/gone')!
      orphan(world, 'acme/gone')
      change(world.manifests, 'acme/gone', (manifest) => ({ ...manifest, fence }))
    },
  },
  'an older revision': {
    kind: 'stale',
    make: ({ manifests }) =>
      change(manifests, 'acme/long', (manifest) => ({ ...manifest, fence: { ...manifest.fence, offset: 0 } })),
  },
  'a chunk of another revision in place of its own': {
    kind: 'mixed',
    make: ({ chunks, place }) => change(chunks, place(1), (chunk) => ({ ...chunk, fence: '1:0:0', offset: 0 })),
  },
  'a chunk twice': {
    kind: 'duplicate',
    make: ({ chunks, place }) => chunks.set('elsewhere', chunks.get(place(1))!),
  },
  'a chunk without its payload': {
    kind: 'corrupted',
    make: ({ chunks, place }) => change(chunks, place(1), (chunk) => ({ ...chunk, key: '' })),
  },
  'another vector': {
    kind: 'corrupted',
    make: ({ chunks, place }) => change(chunks, place(1), (chunk) => ({ ...chunk, vector: turned(chunk.vector) })),
  },
  'another vector that fits its own checksum': {
    kind: 'corrupted',
    make: ({ chunks, place }) =>
      change(chunks, place(1), (chunk) => {
        const vector = turned(chunk.vector)
        return { ...chunk, vector, checksum: crc32(vector) }
      }),
  },
  'another text': {
    kind: 'corrupted',
    make: ({ chunks, place }) => change(chunks, place(1), (chunk) => ({ ...chunk, text: 'something else' })),
  },
  'another title in one of its chunks': {
    kind: 'corrupted',
    make: ({ chunks, place }) => change(chunks, place(1), (chunk) => ({ ...chunk, title: 'another' })),
  },
  'another tenant': {
    kind: 'corrupted',
    make: ({ chunks, place }) => change(chunks, place(1), (chunk) => ({ ...chunk, tenant: 'zenith' })),
  },
  'a vector of another space': {
    kind: 'wrong-space',
    make: ({ chunks, place }) => change(chunks, place(1), (chunk) => ({ ...chunk, space: 'es_other' })),
  },
  'a manifest of another space': {
    kind: 'wrong-space',
    make: ({ manifests }) => change(manifests, 'acme/long', (manifest) => ({ ...manifest, space: 'es_other' })),
  },
  'chunks that nobody is shown': {
    kind: 'garbage',
    make: ({ chunks, place }) =>
      chunks.set(chunkPlace('acme/long', '1:0:0', 0), { ...chunks.get(place(0))!, fence: '1:0:0', offset: 0 }),
  },
  'a point without a payload that is nobody’s': {
    kind: 'garbage',
    make: ({ chunks, place }) => chunks.set('nowhere', { ...chunks.get(place(0))!, key: '' }),
  },
  'chunks of a document without a manifest': {
    kind: 'garbage',
    make: ({ chunks, place }) =>
      chunks.set(chunkPlace('acme/nobody', '1:0:0', 0), {
        ...chunks.get(place(0))!,
        key: 'acme/nobody',
        fence: '1:0:0',
      }),
  },
}

for (const [what, { kind, make }] of Object.entries(faults)) {
  test(`${what} is found as ${kind}, and repaired in the same pass`, async () => {
    await using run = await opened()
    await run.driver.pipe(document('acme/short'), document('acme/gone'), document('acme/other', 30))
    await run.driver.pipe(document('acme/long', 40), { key: 'acme/gone', value: null })
    const world = await memoryWorld(run, { partitions: PARTITIONS })
    inject(run.index, make)

    const seen = await audit(world)
    const repaired = await audit(world, { repair: true })
    const after = await audit(world)

    assert.deepEqual(foundIn(seen), { [kind]: 1 })
    assert.equal(seen.inSync, kind === 'garbage')
    assert.deepEqual(
      [foundIn(repaired), repaired.inSync, repaired.kinds[kind as 'missing'].repaired],
      [{ [kind]: 1 }, true, 1],
    )
    assert.deepEqual([foundIn(after), after.inSync], [{}, true])
    assert.deepEqual(await run.differences(), [])
    assert.equal(run.index.chunks.size, run.index.served().length, 'the repair left chunks that nobody is shown')
  })
}

test('what an older F made is counted, answers all the same, and is derived again when that is wished', async () => {
  await using run = await opened()
  await run.driver.pipe(document('acme/a'), document('acme/b'))
  inject(run.index, ({ manifests }) => change(manifests, 'acme/a', (manifest) => ({ ...manifest, pipeline: 'c1+d0' })))
  const world = await memoryWorld(run, { partitions: PARTITIONS })

  const seen = await audit(world, { repair: true })
  const renewed = await audit(world, { renew: true })
  const after = await audit(world)

  assert.deepEqual([foundIn(seen), seen.inSync, seen.kinds.older.repaired], [{ older: 1 }, true, 0])
  assert.equal(renewed.kinds.older.repaired, 1)
  assert.deepEqual(foundIn(after), {})
})

test('a vector that was wrong from the beginning is found only by deriving again', async () => {
  await using run = await opened()
  await run.driver.pipe(document('acme/long', 40))
  const { contentChecksum } = await import('../processors/content-checksum.ts')
  inject(run.index, ({ chunks, place, manifests }) => {
    change(chunks, place(1), (chunk) => ({
      ...chunk,
      vector: turned(chunk.vector),
      checksum: crc32(turned(chunk.vector)),
    }))
    const own = [...chunks.values()].sort((a, b) => a.ordinal - b.ordinal)
    const checksum = contentChecksum({ ...own[0]!, chunks: own })
    change(manifests, 'acme/long', (manifest) => ({ ...manifest, checksum }))
  })
  const world = await memoryWorld(run, { partitions: PARTITIONS })

  const shallow = await audit(world)
  const deep = await audit(world, { repair: true, deep: { documents: 10, check: deepCheck(run.engine) } })

  assert.equal(shallow.inSync, true)
  assert.deepEqual([foundIn(deep), deep.inSync], [{ corrupted: 1 }, true])
  assert.deepEqual(await run.differences(), [])
})

test('a partition that the index is behind in is told so, and nothing of it is called wrong', async () => {
  await using run = await opened()
  await run.driver.pipe(document('acme/a'), document('acme/b'), document('acme/c'))
  const copy = run.index.copy()
  run.index.restore({
    ...copy,
    manifests: [],
    chunks: [],
    markers: copy.markers.map(([partition, marker]) => [partition, { ...marker, low: -1 }]),
  })
  const stopped = { ...(await memoryWorld(run, { partitions: PARTITIONS })), clock: standing() }

  const report = await audit(stopped, { bounds: { waitMs: 0 } })

  assert.equal(report.inSync, false)
  assert.deepEqual(foundIn(report), {})
  assert.equal(report.behind.length > 0, true)
  assert.match(report.behind[0]!, /^partition \d: the index has positions up to -1 of \d$/)
})

test('while documents is another topic than the one the index was made of, nothing is judged', async () => {
  await using run = await opened()
  await run.driver.pipe(document('acme/a'), document('acme/b'))
  const world = await memoryWorld(run, { partitions: PARTITIONS })
  const sent: unknown[] = []
  let checks = 0
  const recreated: AuditWorld = {
    ...world,
    broker: { ...world.broker, async *read() {} },
    send: async (records) => sent.push(...records),
    // At the first check it was still there.
    async check() {
      if (++checks > 1) throw new Retry('topic documents was deleted and created again')
    },
  }

  const partitions = [partitionOf('acme/a', PARTITIONS)]

  const audited = audit(recreated, { partitions, repair: true, renew: true })

  await assert.rejects(audited, /deleted and created again/)
  assert.deepEqual([sent, checks], [[], 2])
  assert.equal((await audit(world)).inSync, true)
})

test('what a marker says of another epoch is not believed', async () => {
  await using run = await opened()
  await run.driver.pipe(...Array.from({ length: 20 }, (_, i) => document(`acme/${i}`)))
  const world = { ...(await memoryWorld(run, { partitions: PARTITIONS })), epoch: 2, clock: standing() }

  const report = await audit(world, { repair: true, bounds: { waitMs: 0 } })

  assert.deepEqual([foundIn(report), report.behind.length], [{}, PARTITIONS])
})

test('keys that do not fit into memory at once are audited in several passes', async () => {
  await using run = await opened()
  const keys = Array.from({ length: 60 }, (_, i) => `acme/${i}`)
  await run.driver.pipe(...keys.map((key) => document(key)))
  inject(run.index, ({ manifests }) => {
    for (const key of keys.slice(0, 20)) manifests.delete(key)
  })
  const world = await memoryWorld(run, { partitions: PARTITIONS })

  const report = await audit(world, { repair: true, bounds: { keysMax: 7, slicePointsMax: 5 } })

  assert.deepEqual([foundIn(report), report.inSync, report.documents], [{ missing: 20 }, true, 40])
  assert.ok(report.cost.records > 4 * keys.length, 'documents was read once only')
  assert.deepEqual(await run.differences(), [])
})

test('repairs have a bound, and what is above it is told and left to the next audit', async () => {
  await using run = await opened()
  const keys = Array.from({ length: 20 }, (_, i) => `acme/${i}`)
  await run.driver.pipe(...keys.map((key) => document(key)))
  inject(run.index, ({ manifests }) => {
    for (const key of keys) manifests.delete(key)
  })
  const world = await memoryWorld(run, { partitions: PARTITIONS })

  const first = await audit(world, { repair: true, bounds: { repairsMax: 6 } })
  const second = await audit(world, { repair: true })

  assert.deepEqual([first.kinds.missing.repaired, first.kinds.missing.left, first.inSync], [12, 8, false])
  assert.deepEqual([second.kinds.missing.repaired, second.inSync], [8, true])
})

test('what nobody derives again is told as left, and why', async () => {
  await using run = await opened()
  await run.driver.pipe(document('acme/a'))
  inject(run.index, ({ manifests }) => manifests.delete('acme/a'))
  const world = { ...(await memoryWorld(run, { partitions: PARTITIONS })), send: async () => {} }

  const report = await audit(world, { repair: true, bounds: { waitMs: 1_000 } })

  assert.deepEqual([report.kinds.missing.left, report.inSync], [1, false])
  assert.match(report.kinds.missing.examples[0]!, /^acme\/a: .*not derived again in time: see whether a worker runs$/)
})

const unreadable = 'the latest record of a document that nobody can read'
const lost: Readonly<Record<string, (world: Mutable, before: Manifest) => void>> = {
  'has no entry in the index': ({ manifests }) => manifests.delete('acme/a'),
  'is not what is served': ({ manifests }, before) => manifests.set('acme/a', before),
  'is said to delete it': ({ manifests }) =>
    change(manifests, 'acme/a', (manifest) => ({ ...manifest, rejected: null })),
}
for (const [what, make] of Object.entries(lost)) {
  test(`${unreadable} and that ${what} is rejected again by the repair, with the reason`, async () => {
    await using run = await opened()
    await run.driver.pipe(document('acme/a'))
    const [[, before]] = run.index.copy().manifests as [[string, Manifest]]
    await run.driver.pipe(poison('acme/a'))
    const [[, rejected]] = run.index.copy().manifests as [[string, Manifest]]
    inject(run.index, (world) => make(world, before))
    const world = await memoryWorld(run, { partitions: PARTITIONS })

    const report = await audit(world, { repair: true })
    const next = await audit(world)

    assert.deepEqual([report.inSync, next.inSync, foundIn(next)], [true, true, {}])
    const [[, now]] = run.index.copy().manifests as [[string, Manifest]]
    assert.deepEqual(
      [now.deleted, now.rejected, now.fence],
      [true, rejected.rejected, { ...rejected.fence, derivation: 1 }],
    )
    assert.deepEqual(run.index.served(), [])
  })
}

interface Mutable {
  readonly chunks: Map<string, StoredChunk>
  readonly manifests: Map<string, Manifest>
  /** Where a chunk of acme/long lies. */
  place(ordinal: number): string
}

/** Changes the index behind everybody's back. */
function inject(index: MemoryIndex, make: (world: Mutable) => void): void {
  const copy: Copy = index.copy()
  const [chunks, manifests] = [new Map(copy.chunks), new Map(copy.manifests)]
  const place = (ordinal: number) => chunkPlace('acme/long', manifests.get('acme/long')!.content!, ordinal)
  make({ chunks, manifests, place })
  index.restore({ ...copy, chunks: [...chunks], manifests: [...manifests] })
}

function change<V>(map: Map<string, V>, key: string, to: (value: V) => V): void {
  const value = map.get(key)
  assert.ok(value !== undefined, `nothing at ${key} to change`)
  map.set(key, to(value))
}

/** The whole of acme/short or acme/a once more, under a name that documents does not know. */
function orphan({ chunks, manifests }: Mutable, key: string): void {
  const [original] = [...manifests.values()].filter(({ deleted }) => !deleted)
  const { content } = original!
  const partition = partitionOf(key, PARTITIONS)
  manifests.set(key, { ...original!, key, partition })
  for (const chunk of [...chunks.values()].filter((each) => each.key === original!.key))
    chunks.set(chunkPlace(key, content!, chunk.ordinal), { ...chunk, key, partition })
}

const turned = (vector: Buffer): Buffer => Buffer.from(vector.map((_, i) => vector[(i + 4) % vector.length]!))

const opened = (): Promise<MemoryPipeline> =>
  memoryPipeline({ from: 'documents', partitions: PARTITIONS, index: memoryIndex({ space: 'es_68617368656e6769' }) })

const document = (key: string, sentences = 1) => ({
  key,
  value: {
    title: `Title of ${key}`,
    text: Array.from(
      { length: sentences },
      (_, i) => `Sentence ${i} of ${key} says nothing that others do not say.`,
    ).join(' '),
    url: null,
    language: null,
    attributes: { team: 'support', n: 3, tags: ['a', 'b'] },
    cleaning: 'c1',
  },
})

const poison = (key: string) => ({ key, bytes: Buffer.from('not Avro') })

const standing = () => ({ now: () => 0, wait: async () => {} })

const foundIn = ({ kinds }: Awaited<ReturnType<typeof audit>>): Record<string, number> =>
  Object.fromEntries(Object.entries(kinds).flatMap(([kind, { found }]) => (found > 0 ? [[kind, found]] : [])))
