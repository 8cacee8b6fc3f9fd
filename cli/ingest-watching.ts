import type { Client } from '../client/client.ts'
import { watchChanges } from '../connectors/files/changes.ts'
import { fileOrigins, type SeenFiles } from '../connectors/files/file-origins.ts'
import type { Problem } from '../connectors/files/list.ts'
import type { Origin } from '../connectors/origin.ts'
import { openWeb } from '../connectors/web/ask.ts'
import type { WebOrigin } from '../connectors/web/web-origins.ts'
import { reasonOf } from '../streams/errors.ts'
import { withClient } from './connection.ts'
import type { IngestTask } from './ingest.ts'
import { type Ledgers, openLedgers } from './ingest-ledgers.ts'
import { inWords } from './ingest-once.ts'
import { ingestProgress } from './ingest-progress.ts'
import { ingestRun, type RunSummary } from './ingest-run.ts'
import { webOrigins } from './ingest-web.ts'

/** Ingests what changes, until a signal comes. It may be killed at any moment: the next one goes on where it was. */
export async function ingestWatching(task: IngestTask): Promise<void> {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  const ledgers = openLedgers()
  const web = openWeb(task)
  try {
    const addresses = webOrigins(task, ledgers.of, web)
    const say = reporter(task.json)
    await withClient(async (client) => {
      // Beside each other: a server that is slow to answer keeps no file waiting.
      const parts = [
        { paths: task.paths, addresses: [] },
        ...addresses.map((each) => ({ paths: [], addresses: [each] })),
      ]
      const busy = parts.filter(({ paths, addresses: those }) => paths.length + those.length > 0)
      await Promise.all(busy.map((part) => follow(client, task, { ...part, ledgers, say }, stop.signal)))
    }, stop.signal)
  } catch (error) {
    if (!stop.signal.aborted) throw error
  } finally {
    ledgers.close()
    await web.close()
  }
}

interface Part {
  readonly paths: readonly string[]
  readonly addresses: readonly WebOrigin[]
  readonly ledgers: Ledgers
  readonly say: Report
}

async function follow(client: Client, task: IngestTask, part: Part, stop: AbortSignal): Promise<void> {
  const { paths, addresses, ledgers, say } = part
  const seen: SeenFiles = new Map()
  using changes = await watchChanges(paths)
  for (let isFirst = true; !stop.aborted; ) {
    try {
      const files = await fileOrigins(paths, ledgers.of, { columns: task.columns, seen })
      const origins: Origin[] = [...files.origins, ...addresses]
      const progress = ingestProgress(process.stderr, addresses.length > 0 ? null : files.bytes)
      const all = task.all && isFirst
      const run = await ingestRun(client, origins, { all, done: isFirst ? progress.done : undefined })
      if (isFirst) progress.close()
      say(run, [...files.problems, ...ledgers.problems], isFirst)
      isFirst = false
    } catch (error) {
      // What was under way is in doubt, and read again.
      seen.clear()
      say(null, [{ path: 'the platform', reason: `${reasonOf(error)}; it is tried again` }], false)
    }
    const retryAfterMs = Math.max(0, ...addresses.map((each) => each.retryAfterMs ?? 0))
    await changes.next(addresses.length > 0 ? Math.max(task.everyMs, retryAfterMs) : LOOK_EVERY_MS, stop)
  }
}

/** Also without a hint that something changed. */
const LOOK_EVERY_MS = 10_000

type Report = (run: RunSummary | null, before: readonly Problem[], isFirst: boolean) => void

/** Says what a run did, where it did something; a problem that stays is said once. */
function reporter(json: boolean): Report {
  let known = new Set<string>()
  return (run, before, isFirst) => {
    const problems = [...before, ...(run?.problems ?? [])]
    const fresh = problems.filter((problem) => !known.has(inWords(problem)))
    known = new Set([...known, ...problems.map(inWords)].slice(-PROBLEMS_KNOWN_MAX))
    const { indexed = 0, deleted = 0, unchanged = 0, rejected = 0, unconfirmed = 0 } = run ?? {}
    if (!isFirst && indexed + deleted + fresh.length === 0) return
    const time = new Date().toISOString()
    if (json) console.log(JSON.stringify({ time, indexed, deleted, unchanged, rejected, unconfirmed, problems: fresh }))
    else {
      for (const problem of fresh) console.error(inWords(problem))
      console.log(
        `${time} ${indexed} published, ${deleted} deleted${isFirst ? `, ${unchanged} unchanged; watching` : ''}`,
      )
    }
  }
}

const PROBLEMS_KNOWN_MAX = 10_000
