import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { identityOf } from './lock.js'
import type { PartEvent } from './part-process.ts'

const endMsMax = 10_000
const pollMs = 50
const pidFile = z.object({ pid: z.number().int().positive(), identity: z.string(), part: z.string() })

/** Ends what a supervisor that was killed has left running. A pid that is another process by now is left alone. */
export async function endLeftovers(runDir: string, report: (event: PartEvent) => void): Promise<void> {
  const files = readdirSync(runDir).filter((name) => name.endsWith('.pid'))
  await Promise.all(
    files.map(async (name) => {
      const path = join(runDir, name)
      const left = parse(readFileSync(path, 'utf8'))
      if (left !== null && identityOf(left.pid) === left.identity) {
        report({ kind: 'leftover', part: left.part, pid: left.pid })
        await end(left.pid, left.identity)
      }
      rmSync(path, { force: true })
    }),
  )
}

async function end(pid: number, identity: string): Promise<void> {
  const deadline = performance.now() + endMsMax
  send(pid, 'SIGTERM')
  while (identityOf(pid) === identity) {
    if (performance.now() > deadline) send(-pid, 'SIGKILL')
    await delay(pollMs)
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended in between.
  }
}

/** A supervisor killed while it wrote leaves half a file; its part is then ended by the watchdog only. */
function parse(text: string): z.infer<typeof pidFile> | null {
  try {
    return pidFile.parse(JSON.parse(text))
  } catch {
    return null
  }
}
