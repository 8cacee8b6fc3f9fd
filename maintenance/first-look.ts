import { bucketOf, type ChunkPoint, type Slice } from '../processors/index-contents.ts'
import type { Manifest } from '../processors/vector-index.ts'
import { BucketDigest } from './digest.ts'
import { contentFault, garbageOf, isOlder, isServing, revisionFault } from './findings.ts'
import type { LatestRevisions } from './latest-revisions.ts'
import type { AuditWorld } from './world.ts'

export interface FirstLook {
  /** Keys that may be wrong. Both sides change while they are read, so nothing is certain yet. */
  readonly suspects: readonly string[]
  readonly older: readonly { readonly key: string; readonly manifest: Manifest }[]
  readonly serving: readonly string[]
  readonly documents: number
  readonly chunks: number
  /** Buckets whose digests are not the same. */
  readonly differing: number
}

/** Everything of a slice once: the digest of each bucket, the documents of those that differ, and each document's chunks. */
export async function firstLook(
  { contents, epoch }: AuditWorld,
  {
    slice,
    latest,
    read,
  }: {
    slice: Slice
    latest: LatestRevisions
    read: (points: number) => Promise<void>
  },
): Promise<FirstLook> {
  const suspects = new Set<string>()
  const byBucket = await manifestsOf(slice)
  let differing = 0
  for (let bucket = slice.from; bucket < slice.to; bucket++) {
    const [held, wanted] = [byBucket.get(bucket) ?? [], latest.in(bucket)]
    if (digestOfIndex(held) === digestOfDocuments(wanted, epoch)) continue
    differing++
    const manifests = new Map(held.map((manifest) => [manifest.key, manifest]))
    for (const key of new Set([...manifests.keys(), ...wanted.keys()])) {
      const expected = { ...APPLIED, epoch, latest: wanted.get(key) ?? null, space: contents.space }
      const fault = revisionFault(manifests.get(key) ?? null, expected)
      if (fault !== null) suspects.add(key)
    }
  }
  const manifests = new Map([...byBucket.values()].flat().map((manifest) => [manifest.key, manifest]))
  const serving = [...manifests.values()].filter(isServing)
  const seen = { documents: serving.length, serving: serving.map(({ key }) => key), differing }

  const { chunks, count } = await chunksOf(slice)
  for (const key of new Set([...chunks.keys(), ...seen.serving])) {
    const manifest = manifests.get(key) ?? null
    const held = { key, manifest, chunks: chunks.get(key) ?? [] }
    const expected = { ...APPLIED, epoch, latest: latest.of(key), space: contents.space }
    if (isServing(manifest) && contentFault({ ...held, manifest }, contents.space) !== null) suspects.add(key)
    if (garbageOf(held, expected).length > 0) suspects.add(key)
  }
  const older = serving.filter(isOlder).map((manifest) => ({ key: manifest.key, manifest }))
  return { ...seen, suspects: [...suspects], older, chunks: count }

  async function manifestsOf(of: Slice): Promise<Map<number, Manifest[]>> {
    const found = new Map<number, Manifest[]>()
    for await (const page of contents.manifests(of)) {
      for (const manifest of page) {
        const bucket = bucketOf(manifest.key)
        found.set(bucket, [...(found.get(bucket) ?? []), manifest])
      }
      await read(page.length)
    }
    return found
  }

  async function chunksOf(of: Slice): Promise<{ chunks: Map<string, ChunkPoint[]>; count: number }> {
    const found = new Map<string, ChunkPoint[]>()
    let total = 0
    for await (const page of contents.chunks(of)) {
      for (const chunk of page) {
        const key = chunk.payload!.key
        const own = found.get(key)
        if (own === undefined) found.set(key, [chunk])
        else own.push(chunk)
      }
      total += page.length
      await read(page.length)
    }
    return { chunks: found, count: total }
  }
}

/** At the first look everything counts as applied: what is on its way is a suspect too. */
const APPLIED = { low: Number.POSITIVE_INFINITY }

/** What is served, and what was rejected: a rejected revision is the latest of its key as well. */
function digestOfIndex(manifests: readonly Manifest[]): string {
  const digest = new BucketDigest()
  for (const { key, fence, deleted, rejected } of manifests)
    if (!deleted || rejected !== null) digest.add(key, fence.epoch, fence.offset)
  return digest.text
}

function digestOfDocuments(latest: ReturnType<LatestRevisions['in']>, epoch: number): string {
  const digest = new BucketDigest()
  for (const [key, { offset, live }] of latest) if (live) digest.add(key, epoch, offset)
  return digest.text
}
