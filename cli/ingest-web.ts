import type { Ledger } from '../connectors/files/ledger.ts'
import type { Web } from '../connectors/web/ask.ts'
import { feedOrigin, pollOrigin, type WebOrigin } from '../connectors/web/web-origins.ts'
import type { IngestTask } from './ingest.ts'

/** The addresses of a task. */
export function webOrigins(
  { feeds, polls, columns }: IngestTask,
  ledgerOf: (root: string) => Ledger,
  web: Web,
): WebOrigin[] {
  return [
    ...feeds.map((url) => feedOrigin(url, ledgerOf(`feed:${url}`), web)),
    ...polls.map((url) => pollOrigin(url, ledgerOf(`poll:${url}`), web, columns)),
  ]
}
