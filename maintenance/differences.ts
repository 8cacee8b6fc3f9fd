import { compareFences, type Fence } from '../processors/fence.ts'
import type { Manifest } from '../processors/vector-index.ts'

/** A key's latest record in `documents`. */
export interface Latest {
  readonly offset: number
  readonly deleted: boolean
}

/** A document of which the index says something else than `documents`, and the revision that it must have. */
export interface Difference {
  readonly key: string
  readonly revision: { readonly epoch: number; readonly offset: number }
  /** The fence of its manifest. */
  readonly present: Fence | null
  /** The revision has a text; else it deletes. */
  readonly live: boolean
}

/**
 * Both directions of the anti-join, of one slice of a partition: what the index serves and `documents` does not have, and
 * what `documents` has up to `low` and the index does not, or only an older revision; also of deletions that change nothing
 * that is served, since without them an older revision that comes late would be taken for the newest. Behind `low` the stage is still at it;
 * from `end` on nothing of `documents` was read. Pure.
 */
export function differencesOf(
  latest: ReadonlyMap<string, Latest>,
  manifests: ReadonlyMap<string, Manifest>,
  { epoch, low, end }: { readonly epoch: number; readonly low: number; readonly end: number },
): Difference[] {
  const orphans = [...manifests.values()].flatMap(({ key, fence, deleted }): Difference[] => {
    const newer = fence.epoch === epoch && fence.offset >= end
    if (deleted || latest.has(key) || newer) return []
    return [{ key, revision: { epoch: fence.epoch, offset: fence.offset }, present: fence, live: false }]
  })
  const behind = [...latest].flatMap(([key, { offset, deleted }]): Difference[] => {
    const manifest = manifests.get(key)
    if (offset > low) return []
    const present = manifest?.fence ?? null
    if (present !== null && compareFences(present, { epoch, offset, derivation: 0 }) >= 0) return []
    return [{ key, revision: { epoch, offset }, present, live: !deleted }]
  })
  return [...orphans, ...behind]
}
