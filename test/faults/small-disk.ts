import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A disk of its own in memory, which can be filled to the last byte without harm to anybody else's. */
export interface SmallDisk extends AsyncDisposable {
  readonly folder: string
  /** Until nothing fits any more. */
  fill(): void
  /** Gives back what was filled. */
  free(): void
}

export function smallDisk(mebibytes: number): SmallDisk {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', folder])
  const ballast = join(folder, 'ballast')
  return {
    folder,
    fill() {
      const file = openSync(ballast, 'a')
      try {
        // By smaller and smaller pieces, to the last page.
        for (const bytes of [1024 * 1024, 4_096]) fillBy(file, Buffer.alloc(bytes))
      } finally {
        closeSync(file)
      }
    },
    free: () => rmSync(ballast, { force: true }),
    async [Symbol.asyncDispose]() {
      execFileSync('umount', ['--lazy', folder])
      rmdirSync(folder)
    },
  }
}

/** Why this machine cannot make one; null if it can. */
export function noSmallDisk(): string | null {
  if (process.platform !== 'linux') return 'a disk in memory is made by mount -t tmpfs, which only Linux has'
  try {
    const folder = mkdtempSync(join(tmpdir(), 'freshet-disk-'))
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'pipe' })
      execFileSync('umount', [folder])
    } finally {
      rmdirSync(folder)
    }
    return null
  } catch (error) {
    return `a disk of its own cannot be mounted: ${String((error as Error).message).trim()}`
  }
}

function fillBy(file: number, bytes: Buffer): void {
  for (;;) {
    try {
      if (writeSync(file, bytes) < bytes.length) return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return
      throw error
    }
  }
}
