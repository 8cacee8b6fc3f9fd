import type { Rates } from '../maintenance/estimate.ts'

type Measured = Pick<Rates, 'recordsPerSecond' | 'chunksPerSecond'>

/** What the worker at this address has measured since it started; nulls where it has not, or does not answer. */
export async function measuredRates(url: string): Promise<Measured> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    return ratesIn(await response.text())
  } catch {
    return { recordsPerSecond: null, chunksPerSecond: null }
  }
}

export function ratesIn(metrics: string): Measured {
  const value = (name: string, label: string): number => {
    const line = metrics.split('\n').find((each) => each.startsWith(`${name}{`) && each.includes(label))
    return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(' ') + 1))
  }
  const rate = (count: number, seconds: number): number | null =>
    count >= MEASURED_MIN && seconds > 0 ? count / seconds : null
  const index = 'processor="index-vectors"'
  return {
    recordsPerSecond: rate(value('freshet_records_total', index), value('freshet_batch_seconds_sum', index)),
    chunksPerSecond: rate(value('freshet_chunks_total', 'from="model"'), value('freshet_embedding_seconds_total', '')),
  }
}

const TIMEOUT_MS = 2_000
/** Fewer say little about many. */
const MEASURED_MIN = 20
