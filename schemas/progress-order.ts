import type { Progress } from './records.ts'

/**
 * Whether a progress record was overtaken by another one of its key, wherever it lies in the log: a request that was held back may
 * arrive after those of the next owner. Markers are written by compare-and-set, each later than the one that it takes the place of.
 * A record that does not say of which marker it is (of a worker from before this was kept) is as late as it lies.
 */
export const isOlderProgress = ({ written }: Written, than: Written): boolean => written > 0 && written < than.written

type Written = Pick<Progress, 'written'>
