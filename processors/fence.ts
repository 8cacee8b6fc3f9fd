/**
 * What orders everything that is ever written about a document: its revision (epoch, offset in `documents`) and, within one
 * revision, how often it was derived again. Later wins; no clock, no producer's version.
 */
export interface Fence {
  readonly epoch: number
  readonly offset: number
  readonly derivation: number
}

/** Below 0: a is older than b. */
export function compareFences(a: Fence, b: Fence): number {
  return a.epoch - b.epoch || a.offset - b.offset || a.derivation - b.derivation
}

/** One text for one fence: stored with every point and compared when a manifest is changed. */
export function fenceText({ epoch, offset, derivation }: Fence): string {
  return `${epoch}:${offset}:${derivation}`
}

export function parseFence(text: string): Fence | null {
  const match = /^(\d+):(\d+):(\d+)$/.exec(text)
  return match && { epoch: Number(match[1]), offset: Number(match[2]), derivation: Number(match[3]) }
}
