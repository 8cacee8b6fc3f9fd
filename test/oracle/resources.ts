import type { Checked, Finding, World } from './world.ts'

/** What a process holds: measured when it was at rest before the load, and at rest again after it. */
export interface ResourceSample {
  readonly process: string
  readonly before: Resources
  readonly after: Resources
}

export interface Resources {
  readonly memoryBytes: number
  readonly openFiles: number
  /** Records and texts that wait. */
  readonly queued: number
}

/** I9: memory, sockets and queues return to their baseline. */
export function checkResources({ resources }: World): Checked {
  const findings: Finding[] = []
  for (const { process, before, after } of resources) {
    const found = (what: string) => findings.push({ invariant: 'I9', what: `${process}: ${what}` })
    if (after.memoryBytes > before.memoryBytes * MEMORY_GROWTH_MAX + MEMORY_SLACK_BYTES)
      found(`its memory went from ${mib(before.memoryBytes)} to ${mib(after.memoryBytes)} MiB`)
    if (after.openFiles > before.openFiles + OPEN_FILES_SLACK)
      found(`it has ${after.openFiles} files and sockets open, and had ${before.openFiles}`)
    if (after.queued > 0) found(`${after.queued} wait in its queues at rest`)
  }
  return { findings, compared: { I9: resources.length } }
}

/** A heap that has worked is larger than one that has not: caches fill, and V8 gives back late. */
const MEMORY_GROWTH_MAX = 1.5
const MEMORY_SLACK_BYTES = 192 * 1024 * 1024
/** Connections that a client keeps for later. */
const OPEN_FILES_SLACK = 16

const mib = (bytes: number): number => Math.round(bytes / 1024 / 1024)
