/** An element of BYTES in raw contents has its length before it, in four bytes, little-endian. */
export function rawTexts(texts: readonly string[]): Uint8Array {
  const encoded = texts.map((text) => Buffer.from(text, 'utf8'))
  const raw = Buffer.alloc(encoded.reduce((sum, each) => sum + 4 + each.length, 0))
  let at = 0
  for (const each of encoded) {
    at = raw.writeUInt32LE(each.length, at)
    at += each.copy(raw, at)
  }
  return raw
}

/** @throws if the lengths do not add up. */
export function textsInRaw(raw: Uint8Array): string[] {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength)
  const texts: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 4 <= bytes.length ? at + 4 + bytes.readUInt32LE(at) : Number.POSITIVE_INFINITY
    if (end > bytes.length)
      throw new Error(`element ${texts.length + 1} ends after the ${bytes.length} bytes that there are`)
    texts.push(bytes.toString('utf8', at + 4, end))
    at = end
  }
  return texts
}

/** The rows of a matrix, little-endian f32, in one piece. */
export function rawRows(rows: readonly Float32Array[]): Uint8Array {
  return Buffer.concat(rows.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength)))
}

/** @throws if the bytes are no such rows. */
export function rowsInRaw(raw: Uint8Array, dimensions: number): Float32Array[] {
  if (raw.byteLength % (4 * dimensions) !== 0)
    throw new Error(`${raw.byteLength} bytes are no rows of ${dimensions} numbers of four bytes`)
  // A copy: the bytes may lie anywhere.
  const all = new Float32Array(new Uint8Array(raw).buffer)
  return Array.from({ length: all.length / dimensions }, (_, row) =>
    all.subarray(row * dimensions, (row + 1) * dimensions),
  )
}
