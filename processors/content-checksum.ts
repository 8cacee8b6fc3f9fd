import { crc32 } from 'node:zlib'

/** What the index holds of a document, but ids and fence. */
export interface Content {
  readonly title: string | null
  readonly url: string | null
  readonly attributes: Readonly<Record<string, unknown>>
  readonly acl: readonly string[] | null
  /** By ordinal. */
  readonly chunks: readonly ContentChunk[]
}

export interface ContentChunk {
  readonly start: number
  readonly end: number
  readonly text: string
  readonly hash: string
  readonly vector: Buffer
  readonly termIndices: Buffer
  readonly termValues: Buffer
}

/**
 * One number for all of it, kept in the manifest: chunks that were changed afterwards do not add up to it, whatever they say of
 * themselves. Against accidents, not against an adversary.
 */
export function contentChecksum({ title, url, attributes, acl, chunks }: Content): number {
  const ordered = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1))
  // What has none has the sum that it had before there were any.
  let sum = crc32(JSON.stringify([title, url, ordered, ...(acl === null ? [] : [acl])]))
  for (const { start, end, text, hash, vector, termIndices, termValues } of chunks) {
    sum = crc32(JSON.stringify([start, end, text, hash]), sum)
    for (const bytes of [vector, termIndices, termValues]) sum = crc32(bytes, sum)
  }
  return sum
}
