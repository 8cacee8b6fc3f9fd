import type { Checked, Finding, World } from './world.ts'

/** What a process holds: measured when it was at rest before the load, and at rest again after it. */
export interface ResourceSample {
  readonly process: string
  readonly before: Resources
  readonly after: Resources
}

export interface Resources {
  /** Of the heap, and of buffers outside it. What V8 has not collected yet is in it. */
  readonly heldBytes: number
  /** Resident, less what V8 keeps of the system's memory for a larger heap than it needs: it gives that back late or never. */
  readonly residentBytes: number
  readonly openFiles: number
  /** Records and texts that wait. */
  readonly queued: number
}

/** I9: memory, sockets and queues return to their baseline. */
export function checkResources({ resources }: Pick<World, 'resources'>): Checked {
  const findings: Finding[] = []
  for (const { process, before, after } of resources) {
    const found = (what: string) => findings.push({ invariant: 'I9', what: `${process}: ${what}` })
    if (after.heldBytes > before.heldBytes * MEMORY_GROWTH_MAX + HELD_SLACK_BYTES)
      found(`it held ${mib(before.heldBytes)} MiB of heap and buffers, and holds ${mib(after.heldBytes)}`)
    if (after.residentBytes > before.residentBytes * MEMORY_GROWTH_MAX + RESIDENT_SLACK_BYTES)
      found(`its resident memory went from ${mib(before.residentBytes)} to ${mib(after.residentBytes)} MiB`)
    if (after.openFiles > before.openFiles + OPEN_FILES_SLACK)
      found(`it has ${after.openFiles} files and sockets open, and had ${before.openFiles}`)
    if (after.queued > 0) found(`${after.queued} wait in its queues at rest`)
  }
  return { findings, compared: { I9: resources.length } }
}

/** What a worker may keep of vectors, by default. */
const VECTOR_CACHE_BYTES = 64 * 1024 * 1024
/** A process that has worked holds more than one that has not: caches fill, code is compiled. */
const MEMORY_GROWTH_MAX = 1.5
const HELD_SLACK_BYTES = 64 * 1024 * 1024 + VECTOR_CACHE_BYTES
/** The allocator below V8 keeps what was freed in pieces. */
const RESIDENT_SLACK_BYTES = 192 * 1024 * 1024
/** Connections that a client keeps for later. */
const OPEN_FILES_SLACK = 16

const mib = (bytes: number): number => Math.round(bytes / 1024 / 1024)
