import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { contentChecksum } from '../processors/content-checksum.ts'
import { tenantOf } from '../processors/document-key.ts'
import { derivingVersion } from '../processors/embed-documents.ts'
import { compareFences, type Fence, fenceText, parseFence } from '../processors/fence.ts'
import type { ChunkPoint } from '../processors/index-contents.ts'
import type { Manifest } from '../processors/vector-index.ts'
import type { Latest } from './latest-revisions.ts'

/**
 * What can be wrong with a document in the index, the worst first:
 * missing: it, or one of its chunks, is not there · orphan: it is served, and `documents` does not have it · stale: another
 * revision is served than the latest · mixed: chunks of two revisions, of which neither is whole · duplicate: chunks beyond those
 * of its manifest · wrong-space: vectors of another embedding space · corrupted: payload, vector or text is not what was
 * written.
 */
export const faultKinds = ['missing', 'orphan', 'stale', 'mixed', 'duplicate', 'wrong-space', 'corrupted'] as const
export type FaultKind = (typeof faultKinds)[number]
/** No faults: made by an older F, which answers all the same; and points that nobody is shown. */
export type Kind = FaultKind | 'older' | 'garbage'
export const kinds: readonly Kind[] = [...faultKinds, 'older', 'garbage']

export interface Fault {
  readonly kind: FaultKind
  readonly detail: string
}

/** A document as the index has it: what was read together, and not changed meanwhile. */
export interface Held {
  readonly key: string
  readonly manifest: Manifest | null
  /** Every chunk that says it is of this document, and whatever lies where its chunks must lie. */
  readonly chunks: readonly ChunkPoint[]
}

/** Of what the index is to hold. */
export interface Expected {
  readonly epoch: number
  readonly space: string
  /** Every position up to this was in the index before `Held` was read. */
  readonly low: number
  /** The latest record of the key in `documents`, read after `Held`; null: there is none. */
  readonly latest: Latest | null
}

/** What is wrong with a document; null: nothing, or it is still on its way. */
export function faultOf(held: Held, expected: Expected): Fault | null {
  const { manifest } = held
  return (
    revisionFault(manifest, expected) ??
    (isServing(manifest) ? contentFault({ ...held, manifest }, expected.space) : null)
  )
}

/** The manifest against `documents`. */
export function revisionFault(manifest: Manifest | null, { epoch, low, latest }: Expected): Fault | null {
  const fault = (kind: FaultKind, detail: string): Fault => ({ kind, detail })
  if (latest === null) {
    // Whatever led to a manifest was in documents before it; that nothing of the key is there now is certain.
    if (!isServing(manifest)) return null
    return fault('orphan', `revision ${fenceText(manifest.fence)} is served, and documents does not have the key`)
  }
  const { offset, live } = latest
  const order = manifest === null ? -1 : manifest.fence.epoch - epoch || manifest.fence.offset - offset
  // What is not applied yet is on its way; what is deleted needs no manifest.
  if (order < 0 && (offset > low || (!live && !isServing(manifest)))) return null
  if (manifest === null) return fault('missing', `the document of offset ${offset} is not there`)
  const says = `revision ${fenceText(manifest.fence)} is there`
  if (!live)
    return isServing(manifest) ? fault('orphan', `${says}, and the document was deleted at offset ${offset}`) : null
  if (order !== 0) return fault(isServing(manifest) ? 'stale' : 'missing', `${says}, and ${offset} is the latest`)
  if (manifest.deleted && manifest.rejected === null)
    return fault('missing', `${says} as deleted, and the document of this offset is not`)
  return null
}

/** Everything that a document's chunks must be. */
export function contentFault({ key, manifest, chunks }: Held & { manifest: Serving }, space: string): Fault | null {
  const { content } = manifest
  const name = fenceText(content)
  const own = chunks.filter(({ payload }) => payload?.key === key && payload.fence === name)
  const misplaced = own.find(({ placed }) => !placed)
  const faults: (Fault | null)[] = [
    whole(own, manifest, chunks),
    misplaced === undefined
      ? null
      : { kind: 'duplicate', detail: `chunk ${misplaced.payload!.ordinal} lies where it does not belong` },
    manifest.space !== '' && manifest.space !== space
      ? { kind: 'wrong-space', detail: `the manifest says ${manifest.space}` }
      : null,
    ...own.map((chunk) => chunkFault(chunk, key, content, space)),
  ]
  const found = faults.find((each) => each !== null)
  if (found) return found
  return manifest.checksum === null || checksumsOf(own).every((each) => each === manifest.checksum)
    ? null
    : { kind: 'corrupted', detail: 'the chunks are not those that were written: they do not add up to the checksum' }
}

function whole(own: readonly ChunkPoint[], { chunks: count }: Manifest, all: readonly ChunkPoint[]): Fault | null {
  const ordinals = new Set(own.map(({ payload }) => payload!.ordinal))
  const missing = Array.from({ length: count }, (_, i) => i).filter((ordinal) => !ordinals.has(ordinal))
  if (missing.length > 0) {
    if (all.some(({ payload }) => payload === null))
      return { kind: 'corrupted', detail: `chunk ${missing[0]} of ${count} has lost its payload` }
    const kind = all.length > own.length ? 'mixed' : 'missing'
    return { kind, detail: `${missing.length} of ${count} chunks are not there, ${missing[0]} the first` }
  }
  return own.length === count ? null : { kind: 'duplicate', detail: `has ${own.length} chunks instead of ${count}` }
}

function chunkFault({ payload, vectors }: ChunkPoint, key: string, content: Fence, space: string): Fault | null {
  const { ordinal, tenant, offset, text, hash, checksum } = payload!
  const corrupted = (what: string): Fault => ({ kind: 'corrupted', detail: `chunk ${ordinal}: ${what}` })
  if (vectors === null) return { kind: 'wrong-space', detail: `chunk ${ordinal} has no vector of ${space}` }
  if (crc32(vectors.vector) !== checksum) return corrupted('its vector is not the one that was written')
  if (createHash('sha256').update(text).digest('hex') !== hash) return corrupted('its text is not that of its hash')
  if (tenant !== tenantOf(key)) return corrupted(`its tenant is ${tenant}`)
  if (offset !== content.offset) return corrupted(`its offset is ${offset}`)
  return null
}

/** Title, URL, attributes and acl are in every chunk: each distinct one of them with all the chunks. */
function checksumsOf(own: readonly ChunkPoint[]): number[] {
  const chunks = own.map(({ payload, vectors }) => ({ ...payload!, ...vectors! })).sort((a, b) => a.ordinal - b.ordinal)
  const shared = new Map(
    chunks.map(({ title, url, attributes, acl }) => [
      JSON.stringify([title, url, attributes, acl]),
      { title, url, attributes, acl },
    ]),
  )
  return [...shared.values()].map((each) => contentChecksum({ ...each, chunks }))
}

/** Made by an older F than this one's: its deriving differs, or nobody wrote down what it was made of. */
export function isOlder(manifest: Manifest | null): boolean {
  return isServing(manifest) && (!manifest.pipeline.endsWith(`+${derivingVersion}`) || manifest.checksum === null)
}

/**
 * Chunks that nobody is shown and nobody is writing: of a fence that their manifest has passed and does not serve; or without
 * a manifest, below the watermark, of a document that is not there. What is above its manifest's fence may be a write in progress, and
 * what a revision left that is not settled yet goes away by itself.
 */
export function garbageOf({ manifest, chunks }: Held, { epoch, low, latest }: Expected): readonly ChunkPoint[] {
  const settled = manifest === null || manifest.fence.epoch < epoch || manifest.fence.offset <= low
  if (!settled) return []
  return chunks.filter(({ payload }) => {
    const fence = payload && parseFence(payload.fence)
    if (fence === null) return false
    if (manifest !== null)
      return (
        compareFences(fence, manifest.fence) <= 0 &&
        (manifest.content === null || compareFences(fence, manifest.content) !== 0)
      )
    const applied = fence.epoch < epoch || fence.offset <= low
    return applied && (latest === null || (!latest.live && latest.offset <= low && latest.offset >= fence.offset))
  })
}

export type Serving = Manifest & { readonly content: Fence }

export const isServing = (manifest: Manifest | null): manifest is Serving =>
  manifest !== null && !manifest.deleted && manifest.content !== null
