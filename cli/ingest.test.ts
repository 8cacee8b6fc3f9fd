import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ingest } from './ingest.ts'

const misuses: readonly (readonly [readonly string[], RegExp])[] = [
  [[], /there is nothing to ingest/],
  [['a.csv', '--id', 'sku'], /--id and --text belong together/],
  [['a.csv', '--title', 'name'], /are of a table; give --id and --text too/],
  [['-', '--watch'], /leave out --watch/],
  [['docs', '--name', 'x'], /--name is that of standard input/],
  [['--feed', 'ftp://example.org'], /give an http or https address/],
  [['--poll', 'https://me:secret@example.org'], /without a password/],
  [['--feed', 'https://example.org', '--every', '1'], /give at least 5/],
]

for (const [args, says] of misuses)
  test(`wrong use of ingest is told before anything is asked or read: ${args.join(' ') || 'nothing'}`, async () => {
    const written: string[] = []
    const command = ingest()
      .exitOverride()
      .configureOutput({ writeErr: (text) => written.push(text) })

    await assert.rejects(command.parseAsync(args, { from: 'user' }))

    assert.match(written.join(), says)
  })
