import { type FSWatcher, watch } from 'node:fs'
import { stat } from 'node:fs/promises'

export interface Changes extends Disposable {
  /** Resolves soon after something changed there since the last call, when the time is over, or when the signal is aborted. */
  next(msMax: number, signal: AbortSignal): Promise<void>
}

/**
 * Says that something may have changed in these folders and files. Only a hint: who is told looks for himself, and looks now and then without being told, since
 * a file system of another machine tells nothing, and one that has much to tell leaves something out.
 */
export async function watchChanges(paths: readonly string[]): Promise<Changes> {
  let changed = false
  let told = () => {}
  const watchers: FSWatcher[] = []
  const noticed = () => {
    changed = true
    told()
  }
  for (const path of paths) {
    const isFolder = (await stat(path).catch(() => null))?.isDirectory() ?? false
    try {
      watchers.push(watch(path, { recursive: isFolder }, noticed).on('error', () => {}))
    } catch {
      // Too many folders, or none that can be watched: the time alone says when to look.
    }
  }
  return {
    async next(msMax, signal) {
      if (!changed) await within(msMax, signal, (resolve) => (told = resolve))
      // A file is mostly written in several steps.
      if (changed) await within(SETTLE_MS, signal, () => {})
      changed = false
    },
    [Symbol.dispose]() {
      for (const watcher of watchers) watcher.close()
    },
  }
}

const SETTLE_MS = 200

function within(ms: number, signal: AbortSignal, start: (resolve: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
    else start(end)
  })
}
