import { fileOrigins } from '../connectors/files/file-origins.ts'
import type { Problem } from '../connectors/files/list.ts'
import { noLedger, streamOrigin } from '../connectors/files/stream-origin.ts'
import type { Origin } from '../connectors/origin.ts'
import { openWeb } from '../connectors/web/ask.ts'
import { withClient } from './connection.ts'
import type { IngestTask } from './ingest.ts'
import { openLedgers } from './ingest-ledgers.ts'
import { ingestProgress } from './ingest-progress.ts'
import { ingestRun, type RunSummary } from './ingest-run.ts'
import { webOrigins } from './ingest-web.ts'
import { inOneLine } from './wish.ts'

/** Ingests all that is there, and says what became of it. */
export async function ingestOnce(task: IngestTask): Promise<void> {
  const { paths, columns, stdin, name, all, json } = task
  const ledgers = openLedgers()
  const web = openWeb(task)
  try {
    const files = await fileOrigins(paths, ledgers.of, { columns })
    const origins: Origin[] = [...files.origins, ...webOrigins(task, ledgers.of, web)]
    if (stdin) {
      const ledger = name === undefined ? noLedger() : ledgers.of(`stdin:${name}`)
      origins.push(streamOrigin('standard input', process.stdin as AsyncIterable<Buffer>, ledger))
    }
    const isKnown = origins.length === files.origins.length
    const progress = ingestProgress(process.stderr, isKnown ? files.bytes : null)
    const summary = await withClient((client) => ingestRun(client, origins, { all, done: progress.done }))
    progress.close()
    report(summary, [...files.problems, ...ledgers.problems], json)
  } finally {
    ledgers.close()
    await web.close()
  }
}

function report({ problems: met, ...counts }: RunSummary, before: readonly Problem[], json: boolean): void {
  const problems = [...before, ...met]
  if (json) console.log(JSON.stringify({ ...counts, problems }, null, 2))
  else {
    for (const problem of problems) console.error(inWords(problem))
    const { indexed, deleted, unchanged } = counts
    console.log(`${indexed} published, ${deleted} deleted, ${unchanged} unchanged, ${problems.length} with problems`)
  }
  if (problems.length > 0) process.exitCode = 1
}

/** For a terminal: names and reasons may hold what others wrote. */
export const inWords = ({ path, line, reason }: Problem): string =>
  inOneLine(`${path}${line === undefined ? '' : `:${line}`}: ${reason}`)
