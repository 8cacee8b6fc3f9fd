/** Files that say which process holds something. Plain JavaScript: the bootstrap uses them under the machine's own Node. */
import { spawnSync } from 'node:child_process'
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const pollMs = 100

/** Takes the lock, or waits for it. A lock whose process is gone is taken over. Returns the function that gives it back. */
export async function lock(path, waiting = () => {}) {
  let told = 0
  for (;;) {
    const taken = tryLock(path)
    if (taken.release !== undefined) return taken.release
    if (told !== taken.holder) waiting(taken.holder)
    told = taken.holder
    await delay(pollMs)
  }
}

/** Takes the lock (`release`), or tells the process that has it (`holder`, a pid). */
export function tryLock(path) {
  mkdirSync(dirname(path), { recursive: true })
  const mine = `${JSON.stringify({ pid: process.pid, identity: identityOf(process.pid) })}\n`
  const draft = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}`
  writeFileSync(draft, mine)
  try {
    for (;;) {
      // A link either makes the whole file or fails, so nobody sees a lock without its pid.
      if (link(draft, path)) return { release: () => contentOf(path) === mine && rmSync(path, { force: true }) }
      const found = contentOf(path)
      if (found === null) continue
      const holder = holderOf(found)
      if (holder !== null) return { holder }
      breakLock(path, found, `${draft}.stale`)
    }
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Moves the stale lock away; if it was another's new one by then, puts it back. */
function breakLock(path, stale, aside) {
  try {
    renameSync(path, aside)
  } catch {
    return
  }
  if (contentOf(aside) !== stale) link(aside, path)
  rmSync(aside, { force: true })
}

function link(from, to) {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  }
}

function contentOf(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

function holderOf(content) {
  try {
    const { pid, identity } = JSON.parse(content)
    return identity !== null && identityOf(pid) === identity ? pid : null
  } catch {
    return null
  }
}

/** What tells this process from an earlier or later one with the same pid: when it began. Null if there is none, or it has ended and waits for its parent. */
export function identityOf(pid) {
  if (process.platform === 'linux') {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      if (fields[0] === 'Z' || fields[0] === 'X') return null
      return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${fields[19]}`
    } catch {
      return null
    }
  }
  const { stdout, status } = spawnSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], { encoding: 'utf8' })
  const [state, ...began] = (stdout ?? '').trim().split(/\s+/)
  return status !== 0 || began.length === 0 || state.startsWith('Z') ? null : began.join(' ')
}

/** The command line of a process, or null. */
export function commandLineOf(pid) {
  if (process.platform === 'linux') return contentOf(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ').trim() || null
  const { stdout, status } = spawnSync('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() || null : null
}
