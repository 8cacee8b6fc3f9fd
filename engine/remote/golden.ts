import { fingerprintOf } from '../fingerprint.ts'
import { cosine } from './vectors.ts'

/** What a space's golden texts had for vectors when it was first used: by it one sees that the model is still the same. */
export interface Golden {
  /** sha256 of the vectors, hex. */
  readonly fingerprint: string
  /** Little-endian f32, one text after the other. */
  readonly vectors: Buffer
  /** ms since 1970. */
  readonly at: number
}

export function goldenOf(vectors: readonly Float32Array[], at: number): Golden {
  const bytes = vectors.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength))
  return { fingerprint: fingerprintOf(vectors), vectors: Buffer.concat(bytes), at }
}

/** The lowest cosine of a golden text with itself, as it was and as it is; -1 where they cannot be compared. Pure. */
export function nearness(recorded: Golden, vectors: readonly Float32Array[]): number {
  const floats = new Float32Array(new Uint8Array(recorded.vectors).buffer)
  const dimensions = vectors[0]?.length ?? 0
  if (dimensions === 0 || floats.length !== vectors.length * dimensions) return -1
  return Math.min(...vectors.map((vector, i) => cosine(vector, floats.subarray(i * dimensions, (i + 1) * dimensions))))
}
