import type { StackEvent } from '../infra/local/stack.ts'

/** Tells what a starting stack does: one line for each step, and on a terminal a last line for what is under way. */
export interface StackProgress {
  report(event: StackEvent): void
  close(): void
}

export function stackProgress(out: NodeJS.WriteStream): StackProgress {
  const under = new Map<string, string>()
  const clear = () => {
    if (out.isTTY) out.write('\r\x1b[2K')
  }
  const draw = () => {
    if (!out.isTTY || under.size === 0) return
    const line = [...under].map(([name, what]) => (what ? `${name} ${what}` : name)).join(' · ')
    out.write(`\r\x1b[2K… ${line}`.slice(0, (out.columns ?? 80) + 4))
  }
  const say = (line: string) => {
    clear()
    out.write(`${line}\n`)
    draw()
  }
  return {
    report(event) {
      switch (event.kind) {
        case 'setup-waiting':
          return say(`waiting for process ${event.pid}, which sets up`)
        case 'setup-started':
          under.set(event.tool, '')
          return out.isTTY ? draw() : say(`setting up ${event.tool}`)
        case 'setup-progress':
          under.set(event.tool, `${megabytes(event.bytes)} ${event.what}`)
          return draw()
        case 'setup-done':
          under.delete(event.tool)
          return say(`✓ ${event.tool} set up (${megabytes(event.bytes)}, ${(event.ms / 1_000).toFixed(1)} s)`)
        case 'starting':
          under.set(event.part, 'starting')
          return draw()
        case 'ready':
          under.delete(event.part)
          return say(`✓ ${event.part} ready (${(event.ms / 1_000).toFixed(1)} s)`)
        case 'leftover':
          return say(`ended ${event.part} (process ${event.pid}), left over from a run that was killed`)
        case 'stopping':
          return say(`stopping ${event.part}`)
        case 'stopped':
          return
        case 'failed':
          under.delete(event.part)
          return say(`✗ ${event.error.message}`)
      }
    },
    close: clear,
  }
}

const megabytes = (bytes: number): string => `${(bytes / 1_000_000).toFixed(0)} MB`
