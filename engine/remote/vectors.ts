/** What a service gave for some texts: the vectors, of length one, or what is wrong with them. Pure. */
export function checkVectors(
  vectors: readonly ArrayLike<number>[],
  { texts, dimensions }: { texts: number; dimensions: number },
): readonly Float32Array[] | { readonly fault: string } {
  if (vectors.length !== texts) return { fault: `${vectors.length} vectors for ${texts} texts` }
  const normalised: Float32Array[] = []
  for (const [i, vector] of vectors.entries()) {
    if (vector.length !== dimensions)
      return { fault: `vector ${i} has ${vector.length} dimensions, and the space has ${dimensions}` }
    let square = 0
    for (let d = 0; d < dimensions; d++) square += vector[d]! * vector[d]!
    // Also where one of them is no number, or so large that its square is none.
    if (!Number.isFinite(square)) return { fault: `vector ${i} has a number that is not finite` }
    if (square === 0) return { fault: `vector ${i} is all zeros` }
    const length = Math.sqrt(square)
    normalised.push(Float32Array.from({ length: dimensions }, (_, d) => vector[d]! / length))
  }
  return normalised
}

/** Of two vectors of length one. */
export function cosine(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let d = 0; d < a.length; d++) sum += a[d]! * b[d]!
  return sum
}
