/**
 * Puts rows of these lengths together so that no batch has more tokens, with those that fill rows up, than the bound; like lengths come
 * together, so that little is filled up. A row longer than the bound is a batch by itself. Pure.
 */
export function batchesOf(lengths: readonly number[], paddedTokensMax: number): number[][] {
  const order = lengths.map((_, at) => at).sort((a, b) => lengths[a]! - lengths[b]! || a - b)
  const batches: number[][] = []
  for (const at of order) {
    const batch = batches.at(-1)
    // In ascending order the row that comes is the longest.
    if (batch !== undefined && (batch.length + 1) * lengths[at]! <= paddedTokensMax) batch.push(at)
    else batches.push([at])
  }
  return batches
}
