import { readdirSync, readFileSync } from 'node:fs'

/** What the kernel counts of a process. Linux only. */
export interface Usage {
  /** All threads, user and system, seconds. */
  readonly cpuS: number
  /** Resident now, MiB. */
  readonly rssMiB: number
}

export function usageOf(pid: number): Usage {
  return {
    cpuS: cpuOf(`/proc/${pid}/stat`),
    rssMiB: Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024,
  }
}

/** CPU by the name of the threads: MainThread is the event loop, WorkerThread embeds, V8Worker compiles and collects garbage. Seconds. */
export function cpuByThread(pid: number): ReadonlyMap<string, number> {
  const sums = new Map<string, number>()
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const folder = `/proc/${pid}/task/${task}`
    const name = readFileSync(`${folder}/comm`, 'utf8').trim()
    sums.set(name, (sums.get(name) ?? 0) + cpuOf(`${folder}/stat`))
  }
  return sums
}

function cpuOf(path: string): number {
  const text = readFileSync(path, 'utf8')
  // The name, in brackets, may hold spaces.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Linux tells user space hundredths, whatever the kernel's own clock. */
const TICKS_PER_SECOND = 100
