import type { WriteStream } from 'node:tty'
import type { StackEvent } from './stack.ts'

/**
 * Tells what a stack does, a line for each thing that is done. In a terminal the last line also shows the download that goes on. `quiet`
 * leaves only what is rare: downloads, leftovers and faults.
 */
export function progressReporter(out: WriteStream, { quiet = false } = {}): (event: StackEvent) => void {
  let transient = false
  const clear = () => {
    if (transient) out.write('\r\u001b[K')
    transient = false
  }
  return (event) => {
    if (event.kind === 'setup-progress') {
      if (!out.isTTY) return
      clear()
      out.write(`  ${event.tool}: ${mebibytes(event.bytes)}, ${event.what}`.slice(0, out.columns - 1))
      transient = true
      return
    }
    const line = lineOf(event, quiet)
    if (line === null) return
    clear()
    out.write(`${line}\n`)
  }
}

/** The line of an event, or null if it is not worth one. */
export function lineOf(event: StackEvent, quiet: boolean): string | null {
  switch (event.kind) {
    case 'setup-waiting':
      return `waiting for process ${event.pid}, which sets up the same tools`
    case 'setup-started':
      return `getting ${event.tool}`
    case 'setup-done':
      return `got ${event.tool} (${mebibytes(event.bytes)} in ${seconds(event.ms)})`
    case 'leftover':
      return `ending ${event.part} (process ${event.pid}), which an earlier run has left`
    case 'failed':
      return `${event.part} has failed: ${event.error.message}`
    case 'ready':
      return quiet ? null : `${event.part} is ready (${seconds(event.ms)})`
    case 'stopped':
      return quiet ? null : `${event.part} has stopped`
    default:
      return null
  }
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
