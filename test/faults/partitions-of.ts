import type { Role } from '../platform.ts'

/** Partitions of a stage that a worker has now. */
export async function partitionsOf({ adminUrl }: Role, stage: string): Promise<number> {
  const response = await fetch(`${adminUrl}/metrics`, { signal: AbortSignal.timeout(30_000) })
  const lines = (await response.text()).split('\n')
  return lines.filter((line) => line.startsWith('freshet_low_offset{') && line.includes(`processor="${stage}"`)).length
}
