import type { DocumentVectors, Receipt } from '../schemas/records.ts'
import { contentChecksum } from './content-checksum.ts'
import { compareFences, type Fence } from './fence.ts'
import type { LeftChunks, Manifest, Write } from './vector-index.ts'

/** One record of `vectors`, as far as the index is concerned. */
export interface Revision {
  readonly key: string
  readonly partition: number
  readonly fence: Fence
  /** null: the document is deleted, or this revision of it was rejected. */
  readonly vectors: DocumentVectors | null
  readonly rejected: string | null
}

export type Outcome = Receipt['outcome']

export interface KeyPlan {
  /** null: nothing is to be written. */
  readonly write: Write | null
  /** What is to be deleted once the manifest is seen to be as written. */
  readonly left: readonly LeftChunks[]
  /** One for each revision of the key in the batch, in order. */
  readonly outcomes: readonly Outcome[]
  /** The manifest if all goes well. */
  readonly present: Manifest
}

/**
 * What a batch does to one document: pure. The newest of its revisions is compared with the manifest that was read; older
 * ones, in the batch or against the manifest, change nothing. The same content moves only the fence; `whole`: it is written
 * anew, so that what is served bears the revision that was applied last.
 */
export function planKey(revisions: readonly Revision[], manifest: Manifest | null, whole = false): KeyPlan {
  const newest = revisions.reduce((a, b) => (compareFences(b.fence, a.fence) > 0 ? b : a))
  // The manifest's own record again: whoever wrote the manifest may have died before the deletion of what it left.
  const again = manifest !== null && revisions.some(({ fence }) => compareFences(fence, manifest.fence) === 0)
  const owed = again ? manifest.left : []
  // A revision that never came to be served may have chunks from an attempt that did not end.
  const tried = revisions.flatMap(({ fence, vectors }) => {
    const served = manifest?.content != null && compareFences(fence, manifest.content) === 0
    const taken =
      compareFences(fence, newest.fence) === 0 && (manifest === null || compareFences(fence, manifest.fence) > 0)
    return vectors === null || served || taken ? [] : [{ fence, count: vectors.chunks.length }]
  })
  const leftOf = (left: Manifest['left']) => [...left, ...tried].map((each) => ({ key: newest.key, ...each }))
  if (manifest !== null && compareFences(newest.fence, manifest.fence) <= 0) {
    const outcomes = revisions.map(({ fence }) =>
      compareFences(fence, manifest.fence) === 0 ? outcomeOf(manifest) : 'superseded',
    )
    return { write: null, left: leftOf(owed), outcomes, present: manifest }
  }
  const next = nextManifest(newest, manifest, owed, whole)
  const unchanged = next.content !== null && next.content !== newest.fence
  const write: Write = { expected: manifest?.fence ?? null, manifest: next, chunks: unchanged ? null : newest.vectors }
  const outcomes = revisions.map((revision) =>
    revision !== newest ? 'superseded' : unchanged ? 'unchanged' : outcomeOf(next),
  )
  return { write, left: leftOf(next.left), outcomes, present: next }
}

function nextManifest(
  { key, partition, fence, vectors, rejected }: Revision,
  manifest: Manifest | null,
  owed: Manifest['left'],
  whole: boolean,
): Manifest {
  const left = manifest?.content ? [...owed, { fence: manifest.content, count: manifest.chunks }] : owed
  if (vectors === null) {
    return {
      key,
      partition,
      fence,
      content: null,
      deleted: true,
      rejected,
      chunks: 0,
      contentHash: '',
      pipeline: '',
      space: '',
      checksum: null,
      left,
    }
  }
  const { contentHash, pipeline, space, chunks } = vectors
  // A derivation above 0 repairs: it is written whole, whatever the manifest says; and so is what was made before manifests had a checksum.
  const same =
    !whole &&
    manifest !== null &&
    manifest.content !== null &&
    fence.derivation === 0 &&
    manifest.contentHash === contentHash &&
    manifest.pipeline === pipeline &&
    manifest.space === space &&
    manifest.checksum !== null
  return {
    key,
    partition,
    fence,
    content: same ? manifest.content : fence,
    deleted: false,
    rejected: null,
    chunks: chunks.length,
    contentHash,
    pipeline,
    space,
    checksum: same ? manifest.checksum : contentChecksum(vectors),
    left: same ? owed : left,
  }
}

function outcomeOf({ rejected, deleted, content, fence }: Manifest): Outcome {
  if (rejected !== null) return 'rejected'
  if (deleted || content === null) return 'deleted'
  return compareFences(content, fence) === 0 ? 'indexed' : 'unchanged'
}

const isSameFence = (a: Fence | null, b: Fence | null): boolean =>
  a === null || b === null ? a === b : compareFences(a, b) === 0

/**
 * What follows from reading a manifest back after a write: it is as written; or someone newer was faster, and what we wrote
 * is to be deleted; or it had moved before us and ours was refused, so that the key is planned again. The same revision with
 * other chunks is another's too: who saw an older version between found it unchanged and kept chunks that we count as left.
 */
export function judge(write: Pick<Write, 'manifest'>, seen: Manifest | null): 'written' | 'overtaken' | 'again' {
  if (seen === null) return 'again'
  const order = compareFences(seen.fence, write.manifest.fence)
  if (order === 0) return isSameFence(seen.content, write.manifest.content) ? 'written' : 'overtaken'
  return order > 0 ? 'overtaken' : 'again'
}
