import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { crc32 } from 'node:zlib'
import type { DocumentVectors } from '../schemas/records.ts'
import { StartOver } from '../streams/errors.ts'
import { contentChecksum } from './content-checksum.ts'
import { BUCKETS, bucketOf, type ChunkPoint, type IndexContents } from './index-contents.ts'
import type { KnownVectors, LeftChunks, Manifest, Marker, VectorIndex, Write } from './vector-index.ts'

const DIMENSIONS = 8

/** What every index must do; the one in memory and the one in Qdrant pass it. `count` tells how many chunks lie there. */
export interface IndexUnderTest {
  readonly index: VectorIndex
  readonly known: KnownVectors
  readonly contents: IndexContents
  count(): Promise<number>
  close(): Promise<void>
}

export function vectorIndexContract(
  name: string,
  open: (space: string, dimensions: number) => Promise<IndexUnderTest>,
): void {
  describe(`${name} as an index`, async () => {
    const opened = open('es_contract', DIMENSIONS)
    after(async () => (await opened).close())

    test('what was never written is not there', async () => {
      const { index } = await opened

      const { manifests, marker } = await index.read([key('nothing')], 250)

      assert.deepEqual([manifests, marker], [[null], null])
    })

    test('a manifest, its chunks and a marker come back as they were written', async () => {
      const { index, known } = await opened
      const manifest = manifestOf('there', 7, 3)

      await apply(index, [{ expected: null, manifest, chunks: vectorsOf(7, 3) }])
      await settle(index, [], markerOf(3, 41), null)

      const { manifests, marker } = await index.read([key('there')], 3)
      assert.deepEqual([manifests, marker], [[manifest], markerOf(3, 41)])
      const vectors = await known.vectors([manifest])
      assert.deepEqual([...vectors.keys()].sort(), ['hash 0', 'hash 1', 'hash 2'])
      assert.deepEqual(vectors.get('hash 1'), vectorsOf(7, 3).chunks[1]!.vector)
    })

    test('nothing is written over another connection than that of the read that it rests on', async () => {
      const { index } = await opened
      const { connection } = await index.read([], 9)
      const write = { expected: null, manifest: manifestOf('elsewhere', 5, 1), chunks: vectorsOf(5, 1) }

      const written = index.apply([write], connection + 1)
      const settled = index.settle([], markerOf(9, 1), null, connection + 1)

      await assert.rejects(written, StartOver)
      await assert.rejects(settled, StartOver)
      const { manifests, marker } = await index.read([key('elsewhere')], 9)
      assert.deepEqual([manifests, marker], [[null], null])
    })

    test('a manifest that is there already is not written over by one that expects none', async () => {
      const { index } = await opened
      await apply(index, [{ expected: null, manifest: manifestOf('first', 5, 1), chunks: vectorsOf(5, 1) }])

      await apply(index, [{ expected: null, manifest: manifestOf('first', 6, 1), chunks: null }])

      assert.equal((await index.read([key('first')], 0)).manifests[0]?.fence.offset, 5)
    })

    test('a manifest is written over only by one that names its fence', async () => {
      const { index } = await opened
      await apply(index, [{ expected: null, manifest: manifestOf('cas', 5, 1), chunks: vectorsOf(5, 1) }])

      await apply(index, [{ expected: fence(4), manifest: manifestOf('cas', 6, 1), chunks: null }])
      const refused = (await index.read([key('cas')], 0)).manifests[0]
      await apply(index, [{ expected: fence(5), manifest: manifestOf('cas', 8, 1), chunks: null }])
      const accepted = (await index.read([key('cas')], 0)).manifests[0]

      assert.deepEqual([refused?.fence.offset, accepted?.fence.offset], [5, 8])
    })

    test('an entry is forgotten only as it was read, and then a document can come anew', async () => {
      const { index, contents } = await opened
      await apply(index, [{ expected: null, manifest: manifestOf('forgotten', 5, 1), chunks: null }])
      const read = (await index.read([key('forgotten')], 0)).manifests[0]!
      await apply(index, [{ expected: fence(5), manifest: manifestOf('forgotten', 6, 1), chunks: null }])

      await contents.forget([read])
      const kept = (await index.read([key('forgotten')], 0)).manifests[0]!
      await contents.forget([kept])
      const gone = (await index.read([key('forgotten')], 0)).manifests[0]
      await apply(index, [{ expected: null, manifest: manifestOf('forgotten', 2, 1), chunks: null }])

      assert.deepEqual([kept.fence.offset, gone], [6, null])
      assert.equal((await index.read([key('forgotten')], 0)).manifests[0]?.fence.offset, 2)
    })

    test('a manifest that is expected and not there is not written', async () => {
      const { index } = await opened

      await apply(index, [{ expected: fence(5), manifest: manifestOf('absent', 6, 1), chunks: null }])

      assert.deepEqual((await index.read([key('absent')], 0)).manifests, [null])
    })

    test('chunks that are left over are deleted, and only they', async () => {
      const { index, known, count } = await opened
      const [former, next] = [manifestOf('shrinks', 5, 4), manifestOf('shrinks', 9, 2)]
      const before = await count()
      await apply(index, [{ expected: null, manifest: former, chunks: vectorsOf(5, 4) }])
      await apply(index, [{ expected: fence(5), manifest: next, chunks: vectorsOf(9, 2) }])

      await settle(index, [{ key: key('shrinks'), fence: fence(5), count: 4 }], markerOf(0, 1), null)

      assert.equal((await count()) - before, 2)
      assert.equal((await known.vectors([former])).size, 0)
      assert.equal((await known.vectors([next])).size, 2)
    })

    test('a marker is written over only by one that names what was read', async () => {
      const { index } = await opened
      const [first, second] = [markerOf(7, 10), markerOf(7, 20)]
      const present = async () => (await index.read([], 7)).marker?.applied

      await settle(index, [], first, null)
      await settle(index, [], markerOf(7, 30), null)
      const inserted = await present()
      await settle(index, [], second, markerOf(7, 9))
      await settle(index, [], second, { ...first, at: first.at + 1 })
      await settle(index, [], second, { ...first, written: first.written + 1 })
      const refused = await present()
      await settle(index, [], second, first)

      assert.deepEqual([inserted, refused, await present()], [10, 10, 20])
    })

    test('a marker that is expected and not there is not written', async () => {
      const { index } = await opened

      await settle(index, [], markerOf(8, 20), markerOf(8, 10))

      assert.equal((await index.read([], 8)).marker, null)
    })

    test('the same write twice is as one', async () => {
      const { index, count } = await opened
      const write = { expected: null, manifest: manifestOf('twice', 5, 3), chunks: vectorsOf(5, 3) }
      const before = await count()

      await apply(index, [write])
      await apply(index, [write])

      assert.equal((await count()) - before, 3)
    })

    test('all that a partition holds comes slice by slice, each chunk as it was written', async () => {
      const { index, contents } = await opened
      const keys = Array.from({ length: 40 }, (_, i) => `part-${i}`)
      const [manifests, vectors] = [keys.map((id) => ({ ...manifestOf(id, 5, 2), partition: 9 })), vectorsOf(5, 2)]
      await apply(
        index,
        manifests.map((manifest) => ({ expected: null, manifest, chunks: vectors })),
      )

      const halves = [
        { partition: 9, from: 0, to: 500 },
        { partition: 9, from: 500, to: BUCKETS },
      ]
      const seen = await Promise.all(
        halves.map(async (slice) => ({
          manifests: (await Array.fromAsync(contents.manifests(slice))).flat(),
          chunks: (await Array.fromAsync(contents.chunks(slice))).flat(),
        })),
      )

      assert.equal(await contents.count(9), 120)
      assert.deepEqual(
        seen.map((half) => half.manifests.length),
        [500, BUCKETS].map(
          (to, i) => keys.filter((id) => bucketOf(key(id)) < to).length - (i && seen[0]!.manifests.length),
        ),
      )
      assert.deepEqual(seen.flatMap((half) => half.manifests).sort(byKey), manifests.toSorted(byKey))
      const chunks = seen.flatMap((half) => half.chunks)
      assert.ok(chunks.every(({ placed }) => placed))
      const own = chunks.filter(({ payload }) => payload?.key === key('part-7')).sort(byOrdinal)
      assert.equal(checksumOf(own), contentChecksum(vectors))
      assert.deepEqual(own[1]!.payload, {
        tenant: 'acme',
        key: key('part-7'),
        fence: '1:5:0',
        offset: 5,
        ordinal: 1,
        start: 10,
        end: 19,
        text: 'chunk 1',
        hash: 'hash 1',
        title: 'Title',
        url: null,
        attributes: { n: 1, tags: ['a'] },
        acl: ['board', 'hr'],
        checksum: crc32(vectors.chunks[1]!.vector),
      })
    })

    test('chunks are found by their place and by their document, and are gone when they are removed', async () => {
      const { index, contents } = await opened
      const manifest = manifestOf('found', 5, 2)
      await apply(index, [{ expected: null, manifest, chunks: vectorsOf(5, 2) }])
      const places = [0, 1, 2].map((ordinal) => ({ key: key('found'), fence: fence(5), ordinal }))

      const before = await contents.chunksAt(places)
      const named = await contents.chunksOf([key('found'), key('nobody')])
      await contents.remove([before[0]!.id])
      const after = await contents.chunksAt(places)

      assert.deepEqual(
        before.map((point) => point?.payload?.ordinal),
        [0, 1, undefined],
      )
      assert.deepEqual(named.map(({ id }) => id).sort(), [before[0]!.id, before[1]!.id].sort())
      assert.deepEqual(
        after.map((point) => point?.payload?.ordinal),
        [undefined, 1, undefined],
      )
      assert.deepEqual(await contents.manifestsOf([key('found'), key('nobody')]), [manifest, null])
      assert.deepEqual(await Array.fromAsync(contents.strays()), [])
    })

    test('a manifest of a rejected revision says why', async () => {
      const { index } = await opened
      const rejected: Manifest = {
        ...manifestOf('rejected', 5, 0),
        content: null,
        deleted: true,
        rejected: 'text: is empty',
        contentHash: '',
        pipeline: '',
        space: '',
        checksum: null,
      }

      await apply(index, [{ expected: null, manifest: rejected, chunks: null }])

      assert.deepEqual((await index.read([key('rejected')], 0)).manifests, [rejected])
    })
  })
}

const byKey = (a: Manifest, b: Manifest): number => (a.key < b.key ? -1 : 1)
const byOrdinal = (a: ChunkPoint, b: ChunkPoint): number => a.payload!.ordinal - b.payload!.ordinal
const checksumOf = (points: readonly ChunkPoint[]): number =>
  contentChecksum({
    ...points[0]!.payload!,
    chunks: points.map(({ payload, vectors }) => ({ ...payload!, ...vectors! })),
  })

const key = (id: string): string => `acme/${id}`
const fence = (offset: number) => ({ epoch: 1, offset, derivation: 0 })
const markerOf = (partition: number, applied: number): Marker => ({
  partition,
  topicId: 'topic-1',
  applied,
  epoch: 1,
  low: applied - 1,
  at: 1_700_000_000_000,
  written: 1_700_000_000_001,
})

function manifestOf(id: string, offset: number, chunks: number): Manifest {
  return {
    key: key(id),
    partition: 3,
    fence: fence(offset),
    content: fence(offset),
    deleted: false,
    rejected: null,
    chunks,
    contentHash: `content ${offset}`,
    pipeline: 'p1',
    space: 'es_contract',
    checksum: 4_000_000_000 + offset,
    left: [{ fence: fence(1), count: 2 }],
  }
}

function vectorsOf(offset: number, count: number): DocumentVectors {
  const chunks = Array.from({ length: count }, (_, i) => ({
    start: i * 10,
    end: i * 10 + 9,
    text: `chunk ${i}`,
    hash: `hash ${i}`,
    vector: Buffer.from(Float32Array.from({ length: DIMENSIONS }, (_, j) => (j === i ? 1 : 0)).buffer),
    termIndices: Buffer.from(Uint32Array.of(1 + i, 100 + i).buffer),
    termValues: Buffer.from(Float32Array.of(0.5, 1.5).buffer),
  }))
  return {
    space: 'es_contract',
    ...fence(offset),
    title: 'Title',
    url: null,
    language: null,
    attributes: { n: 1, tags: ['a'] },
    acl: ['board', 'hr'],
    pipeline: 'p1',
    contentHash: `content ${offset}`,
    chunks,
  }
}

/** Over the connection of a read just before, as an owner does. */
async function apply(index: VectorIndex, writes: readonly Write[]): Promise<void> {
  await index.apply(writes, (await index.read([], 0)).connection)
}

async function settle(
  index: VectorIndex,
  left: readonly LeftChunks[],
  marker: Marker,
  expected: Marker | null,
): Promise<void> {
  await index.settle(left, marker, expected, (await index.read([], 0)).connection)
}
