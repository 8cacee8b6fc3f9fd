import assert from 'node:assert/strict'
import { test } from 'node:test'
import { packagesMatch, runsTypeScript } from './bootstrap.js'

test('only a Node that runs TypeScript as it is runs our programs', () => {
  const versions = ['20.20.2', '22.17.1', '22.18.0', '23.5.0', '23.6.0', '24.0.0', '26.1.0']

  const able = versions.filter(runsTypeScript)

  assert.deepEqual(able, ['22.18.0', '23.6.0', '24.0.0', '26.1.0'])
})

test('packages are current if each of the lock file is there in its version and with its checksum', () => {
  const wanted = {
    '': { version: '0.1.0' },
    'node_modules/zod': { version: '4.6.7', integrity: 'sha512-a' },
    'node_modules/biome-darwin': { version: '2.5.15', integrity: 'sha512-b', optional: true },
  }
  const zod = { version: '4.6.7', integrity: 'sha512-a' }
  const trees: Record<string, { version: string; integrity?: string }>[] = [
    { 'node_modules/zod': zod },
    { 'node_modules/zod': zod, 'node_modules/extraneous': { version: '1.0.0' } },
    { 'node_modules/zod': { ...zod, version: '4.6.6' } },
    { 'node_modules/zod': { ...zod, integrity: 'sha512-c' } },
    {},
  ]

  const verdicts = trees.map((found) => packagesMatch(wanted, found))

  assert.deepEqual(verdicts, [true, true, false, false, false])
})
