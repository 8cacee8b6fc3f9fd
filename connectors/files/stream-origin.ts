import type { Found, Origin } from '../origin.ts'
import { readJsonStream } from './json-lines.ts'
import type { Ledger } from './ledger.ts'
import { FILE_BYTES_MAX, hashOf } from './read.ts'

/** JSON lines from somebody who writes them. What does not come again is not gone: a line says so itself. */
export const streamOrigin = (name: string, stream: AsyncIterable<Buffer>, ledger: Ledger): Origin => ({
  ledger,
  isWhole: false,
  async *found(): AsyncGenerator<Found> {
    for await (const each of readJsonStream(stream, FILE_BYTES_MAX)) {
      if ('reason' in each) yield { problem: { path: name, ...each } }
      else yield { ...each, hash: hashOf(each.fields), path: name }
    }
  },
})

/** Remembers nothing: a stream that nobody has named. */
export function noLedger(): Ledger {
  const hashes = new Map<string, string>()
  return {
    hashes,
    damaged: false,
    state: null,
    published() {},
    doubted() {},
    deleted() {},
    setState() {},
    save() {},
  }
}
