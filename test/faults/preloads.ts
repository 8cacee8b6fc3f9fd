import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const preload = (file: string): string => `--import=${pathToFileURL(join(import.meta.dirname, 'preload', file)).href}`

/** Environment of a process whose clock is wrong by so much. */
export const shiftedClock = (shiftMs: number): Record<string, string> => ({
  NODE_OPTIONS: preload('shifted-clock.ts'),
  TEST_CLOCK_SHIFT_MS: String(shiftMs),
})

/** Environment of a process whose event loop stands still for so long when it gets SIGUSR2. */
export const stallOnSignal = (stallMs: number): Record<string, string> => ({
  NODE_OPTIONS: preload('stall-on-signal.ts'),
  TEST_STALL_MS: String(stallMs),
})

/** Environment of a process that collects what nobody holds as long as the file is there. */
export const collectWhenAsked = (file: string): Record<string, string> => ({
  NODE_OPTIONS: preload('collect-when-asked.ts'),
  TEST_COLLECT_FILE: file,
})

/** Environment of a process that has no codec but those that kafkajs brings. */
export const withoutZstd = (): Record<string, string> => ({ NODE_OPTIONS: preload('without-zstd.ts') })
