/** A watermark, with the epoch of the topic that its offsets count in: those of an older topic of the same name are below all of a newer one. */
export interface Low {
  readonly epoch: number
  /** Everything up to this, inclusive, is handled; -1 before the first. */
  readonly low: number
}

export const noLow: Low = { epoch: 0, low: -1 }

export function laterLow(a: Low, b: Low): Low {
  const { epoch, low } = b.epoch > a.epoch || (b.epoch === a.epoch && b.low > a.low) ? b : a
  return { epoch, low }
}

/** Records say their epoch in a header; what was written before there was one is of the first. */
export const epochIn = (headers: Readonly<Record<string, Buffer | string>>): number =>
  Number(headers.epoch?.toString() ?? FIRST_EPOCH)

export const FIRST_EPOCH = 1
