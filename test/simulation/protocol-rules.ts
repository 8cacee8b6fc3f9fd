/** The rules of the protocol: with any one of them off a broken promise is found. */
export const rules = {
  /** Chunk ids carry the revision: a document switches by its manifest, not chunk by chunk. */
  revisionIds: true,
  /** A manifest is written only over the revision that was read. */
  compareAndSet: true,
  /** Old chunks are deleted only after the manifest was seen to have left them. */
  readBack: true,
  /** One read sees the whole batch in place, also what an earlier round wrote. */
  wholeReadBack: true,
  /** The same revision with other chunks than planned is another owner's. */
  sameContent: true,
  /** An older revision never replaces a newer one. */
  fence: true,
  /** An owner begins at the marker or the committed offset, whichever is lower. */
  minStart: true,
  /** The offset is committed after the receipts. */
  receiptsFirst: true,
  /** Each read says whether the index was replaced by an older copy. */
  markerCheckedAtEachRead: true,
  /** Compaction leaves alone what an owner, or a copy that may be restored, has not passed. */
  compactionLag: true,
  /** The audit removes only chunks below their manifest's fence: those above are being written. */
  garbageBelow: true,
  /**
   * What was read over one connection is no ground for a write over another: whoever is in the midst of a batch when the index is replaced
   * begins again. Here it does so at once, where the code finds it out by its next request.
   */
  oneConnection: true,
}

export type Rules = Readonly<Record<keyof typeof rules, boolean>>
export type Rule = keyof typeof rules

export const without = (rule: Rule): Rules => ({ ...rules, [rule]: false })
