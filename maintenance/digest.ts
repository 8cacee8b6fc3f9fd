import { createHash } from 'node:crypto'

/**
 * What a bucket holds, in one short text: how many documents, and the sum of a hash of each, so that the order in which they are
 * added does not matter. Two buckets of the same digest hold the same revisions of the same keys.
 */
export class BucketDigest {
  #count = 0
  #high = 0
  #low = 0

  add(key: string, epoch: number, offset: number): void {
    const hash = createHash('sha1').update(`${key}\n${epoch}:${offset}`).digest()
    this.#count++
    this.#high = (this.#high + hash.readUInt32LE(0)) >>> 0
    this.#low = (this.#low + hash.readUInt32LE(4)) >>> 0
  }

  get text(): string {
    return `${this.#count}:${this.#high.toString(16)}:${this.#low.toString(16)}`
  }
}
