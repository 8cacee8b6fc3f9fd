import { Command } from 'commander'
import type { StandingState } from '../client/client.ts'
import { withClient } from './connection.ts'
import { logOf, screenOf } from './watch-words.ts'
import { type WishOptions, whole, wishOf, withWish } from './wish.ts'

export function watch(): Command {
  return withWish(new Command('watch').description('Shows a search that is kept up to date, until Ctrl-C.'))
    .option('--min-interval <ms>', 'what changes within it is shown at once', whole)
    .option('--json', 'each state as a line of JSON')
    .addHelpText(
      'after',
      '\nExample: freshet watch "how long do I have to send something back" -k 5' +
        '\n         + has entered, - has left, ~ has changed, ↑ and ↓ have moved',
    )
    .action(async (words: string[], options: WatchOptions) => {
      const { minInterval, json } = options
      const stop = stopped()
      const show = json ? showJson : process.stdout.isTTY ? terminal(words.join(' ')) : showLog
      const request = { ...wishOf(words, options), ...(minInterval !== undefined && { minIntervalMs: minInterval }) }
      await withClient(async (client) => {
        let before: StandingState | null = null
        for await (const state of client.subscribe(request, { signal: stop })) {
          show(state, before)
          before = state
        }
      }, stop).catch((error) => {
        // Ctrl-C while it still connects is no failure.
        if (!stop.aborted) throw error
      })
    })
}

interface WatchOptions extends WishOptions {
  readonly minInterval?: number
  readonly json?: true
}

type Show = (state: StandingState, before: StandingState | null) => void

const showJson: Show = (state) => process.stdout.write(`${JSON.stringify(state)}\n`)

const showLog: Show = (state, before) => {
  for (const line of logOf(state, before)) process.stdout.write(`${line}\n`)
}

/** Each list is drawn over the one before. */
function terminal(query: string): Show {
  let drawn = 0
  return (state, before) => {
    const { stdout, env } = process
    const lines = screenOf(state, before, { query, rows: stdout.rows ?? 24, colour: !env.NO_COLOR })
    const back = drawn > 0 ? `\x1b[${drawn}A\r\x1b[J` : ''
    // What is longer than the terminal is wide is cut, so that lines can be counted.
    stdout.write(`${back}\x1b[?7l${lines.join('\n')}\x1b[?7h\n`)
    drawn = lines.length
  }
}

/** Aborted by Ctrl-C, a SIGTERM, and when nobody reads what is written. */
function stopped(): AbortSignal {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  process.stdout.on('error', () => stop.abort())
  return stop.signal
}
