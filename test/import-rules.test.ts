import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'

const root = resolve(import.meta.dirname, '..')

/** Violations that must be found, each in a repository of two files. */
const planted: [string, string, string][] = [
  ['streams-imports-nothing-of-ours', 'streams/a.ts', 'schemas/b.ts'],
  ['schemas-import-streams-only', 'schemas/a.ts', 'processors/b.ts'],
  ['processors-do-no-io', 'processors/a.ts', 'connectors/b.ts'],
  ['engine-knows-no-kafka', 'engine/a.ts', 'streams/b.ts'],
  ['search-is-pure', 'search/a.ts', 'connectors/b.ts'],
  ['connectors-are-edges', 'connectors/a.ts', 'services/b.ts'],
  ['maintenance-does-no-io', 'maintenance/a.ts', 'connectors/b.ts'],
  ['console-is-a-client', 'console/a.ts', 'services/b.ts'],
  ['console-is-served-by-the-gateway', 'cli/a.ts', 'console/b.ts'],
  ['services-meet-over-a-socket', 'services/query/a.ts', 'services/worker/b.ts'],
  ['one-kafka-client', 'services/a.ts', 'node_modules/kafkajs/index.js'],
]

for (const [rule, from, to] of planted) {
  test(`an import from ${from} to ${to} is refused (${rule})`, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'freshet-imports-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    for (const name of ['.dependency-cruiser.cjs', 'tsconfig.json']) cpSync(join(root, name), join(folder, name))
    for (const path of [from, to]) mkdirSync(dirname(join(folder, path)), { recursive: true })
    if (!to.startsWith('node_modules')) {
      mkdirSync(join(folder, 'node_modules'), { recursive: true })
    } else writeFileSync(join(folder, dirname(to), 'package.json'), '{"name":"kafkajs","main":"index.js"}')
    symlinkSync(join(root, 'node_modules', 'typescript'), join(folder, 'node_modules', 'typescript'))
    writeFileSync(join(folder, to), 'export const b = 1\n')
    const target = to.startsWith('node_modules') ? 'kafkajs' : `${'../'.repeat(from.split('/').length - 1)}${to}`
    writeFileSync(join(folder, from), `import { b } from '${target}'\nexport const a = b\n`)

    const { stdout, status } = spawnSync(
      process.execPath,
      [
        join(root, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs'),
        '--config',
        '.dependency-cruiser.cjs',
        from.split('/')[0]!,
      ],
      { cwd: folder, encoding: 'utf8' },
    )

    assert.notEqual(status, 0, stdout)
    assert.match(stdout, new RegExp(`error ${rule}:`))
  })
}
