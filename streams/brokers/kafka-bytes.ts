/** Reads Kafka's encodings from front to back. Throws at the end of the bytes. */
export class ByteReader {
  readonly #bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  int16(): number {
    this.at += 2
    return this.#bytes.readInt16BE(this.at - 2)
  }

  int32(): number {
    this.at += 4
    return this.#bytes.readInt32BE(this.at - 4)
  }

  int64(): bigint {
    this.at += 8
    return this.#bytes.readBigInt64BE(this.at - 8)
  }

  /** Unsigned, 32 bits. */
  uvarint(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.#byte()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
    }
  }

  /** Zigzag, 32 bits. */
  varint(): number {
    const value = this.uvarint()
    return (value >>> 1) ^ -(value & 1)
  }

  /** Zigzag, 64 bits, of which 53 are kept: differences of times. */
  varlong(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#byte()
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
  }

  /** A view, not a copy; nothing for a negative length. */
  take(length: number): Buffer {
    const start = this.at
    this.at += Math.max(length, 0)
    if (this.at > this.#bytes.length) throw new RangeError('the bytes end in the middle of a field')
    return this.#bytes.subarray(start, this.at)
  }

  array<T>(length: number, element: () => T): T[] {
    return Array.from({ length: Math.max(length, 0) }, element)
  }

  #byte(): number {
    const byte = this.#bytes[this.at++]
    if (byte === undefined) throw new RangeError('the bytes end in the middle of a field')
    return byte
  }
}
