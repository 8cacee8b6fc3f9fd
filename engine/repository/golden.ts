import { z } from 'zod'
import { fingerprintOf } from '../fingerprint.ts'

/**
 * What a version's vectors of the golden texts were where it was added (`golden.json`), so that whoever loads it knows whether it is the
 * same model to the last bit. Quantised models differ between instruction sets, so elsewhere a floor of the cosine holds.
 */
const schema = z.strictObject({
  /** Where they were made: runtime, provider, processor. */
  environment: z.string(),
  /** Of the vectors, as `fingerprintOf` makes it. */
  fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
  /** Least cosine of a golden text's vector with its own, in another environment. */
  cosineMin: z.number().min(0).max(1),
  /** Little-endian f32, base64, in the order of the golden texts. */
  vectors: z.array(z.base64()),
})
export type Golden = z.infer<typeof schema>

/** Measured between instruction sets: 0.96 for int8 at worst; not quantised ones differ by rounding. */
export const cosineMinOf = { int8: 0.95, none: 0.9999 } as const

export function goldenOf(
  vectors: readonly Float32Array[],
  { environment, quantisation }: { environment: string; quantisation: keyof typeof cosineMinOf },
): Golden {
  return {
    environment,
    fingerprint: fingerprintOf(vectors),
    cosineMin: cosineMinOf[quantisation],
    vectors: vectors.map((vector) => bytesOf(vector).toString('base64')),
  }
}

/** @throws on what is no file of golden vectors. */
export const goldenIn = (json: string): Golden => schema.parse(JSON.parse(json))

/** What is wrong with these vectors of the golden texts; null: nothing. Pure. */
export function goldenFault(golden: Golden, vectors: readonly Float32Array[], environment: string): string | null {
  if (fingerprintOf(vectors) === golden.fingerprint) return null
  if (environment === golden.environment)
    return `the golden texts have other vectors than where the model was added, on the same processor and runtime (${environment}): fingerprint ${fingerprintOf(vectors).slice(0, 12)}, expected ${golden.fingerprint.slice(0, 12)}`
  if (vectors.length !== golden.vectors.length)
    return `there are ${vectors.length} golden texts, and vectors of ${golden.vectors.length}; add the model again`
  const expected = vectorsOf(golden)
  const cosines = vectors.map((vector, at) => cosine(vector, expected[at]!))
  const worst = Math.min(...cosines)
  if (worst >= golden.cosineMin) return null
  const text = cosines.indexOf(worst) + 1
  return `the vector of golden text ${text} has the cosine ${worst.toFixed(4)} with that of where the model was added; at least ${golden.cosineMin} is wanted`
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength)

export const vectorsOf = ({ vectors }: Golden): Float32Array[] =>
  vectors.map((base64) => {
    const { buffer, byteOffset, byteLength } = Buffer.from(base64, 'base64')
    return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength))
  })

/** NaN and another length are as far as can be. */
function cosine(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return -1
  let [dot, aa, bb] = [0, 0, 0]
  for (let d = 0; d < a.length; d++) {
    dot += a[d]! * b[d]!
    aa += a[d]! * a[d]!
    bb += b[d]! * b[d]!
  }
  const found = dot / Math.sqrt(aa * bb)
  return Number.isNaN(found) ? -1 : found
}
