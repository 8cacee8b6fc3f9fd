import { EVERY_GROUP, type Reader } from '../../search/visibility.ts'

/**
 * Every text, title, URL and attribute that a test writes holds a mark of its own, and so does every id. Whatever comes back can
 * then be held against whose it is.
 */
export class Ledger {
  readonly #secrets: { readonly tenant: string; readonly acl: readonly string[] | null }[] = []

  /** A mark for what is written in this tenant, for these groups. */
  mark(tenant: string, acl: readonly string[] | null): string {
    return `zq${this.#secrets.push({ tenant, acl }) - 1}qz`
  }

  get size(): number {
    return this.#secrets.length
  }

  isForEveryone(mark: string): boolean {
    return this.#secrets[Number(mark.slice(2, -2))]!.acl === null
  }

  /** Marks in the answer that its reader may not be shown, in words. What the reader said itself tells it nothing new. */
  leaksIn(answer: unknown, reader: Reader, asked: unknown): string[] {
    const said = new Set(marksIn(asked))
    return marksIn(answer).flatMap((mark) => {
      if (said.has(mark)) return []
      const { tenant, acl } = this.#secrets[Number(mark.slice(2, -2))]!
      if (tenant === reader.tenant && isFor(acl, reader)) return []
      return [
        `${reader.tenant}, in ${reader.groups.join(' and ') || 'no group'}, was shown ${mark} of ${tenant} for ${acl ?? 'everyone'}`,
      ]
    })
  }
}

export const marksIn = (value: unknown): string[] => JSON.stringify(value)?.match(/zq\d+qz/g) ?? []

export const isFor = (acl: readonly string[] | null, { groups }: Reader): boolean =>
  acl === null || groups.includes(EVERY_GROUP) || acl.some((group) => groups.includes(group))
