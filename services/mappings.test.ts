import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { mappingsOf } from './mappings.ts'
import { sourcesOf } from './sources.ts'

function folderOf(t: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-mappings-'))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}
const mapping = (topic: string) => `topic: ${topic}\ntenant: acme\nid: "{id}"\ntext: "{text}"\n`

test('every mapping of a folder is a source that is read as it lies there, beside inbox and the named ones', (t) => {
  const mappings = folderOf(t, {
    'a.yaml': mapping('orders'),
    'b.json': '[{"topic":"goods","tenant":"acme","id":"{id}","text":"{text}"}]',
    'readme.md': 'no mapping',
  })

  const sources = sourcesOf({ sources: ['flood'], mappings })

  assert.deepEqual(
    sources.map(({ name, raw }) => [name, raw ?? false]),
    [
      ['inbox', false],
      ['flood', false],
      ['orders', true],
      ['goods', true],
    ],
  )
})

const wrong: readonly [string, Record<string, string>, readonly string[], RegExp][] = [
  [
    'a topic with two mappings',
    { 'a.yaml': mapping('orders'), 'b.yaml': mapping('orders') },
    [],
    /b\.yaml: topic orders has two mappings/,
  ],
  ['a topic of the platform', { 'a.yaml': mapping('documents') }, [], /documents is a topic of the platform/],
  [
    'a topic that is a source of documents too',
    { 'a.yaml': mapping('orders') },
    ['orders'],
    /orders has a mapping as well/,
  ],
  [
    'mistakes in two files',
    { 'a.yaml': 'topic: a\n', 'b.yaml': `${mapping('b')}titel: x\n` },
    [],
    /a\.yaml:1: tenant: is missing.*b\.yaml:\d: the mapping: titel/,
  ],
]
for (const [name, files, sources, fault] of wrong)
  test(`${name}: nothing starts, and the fault names the place`, (t) => {
    const mappings = folderOf(t, files)

    assert.throws(() => sourcesOf({ sources: [...sources], mappings }), fault)
  })

test('mappings that are not there are told with the setting', () => {
  assert.throws(() => mappingsOf({ mappings: '/nowhere/at/all.yaml' }), /FRESHET_MAPPINGS\) cannot be read/)
})
