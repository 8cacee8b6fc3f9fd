import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import test, { type TestContext } from 'node:test'
import { listFiles } from './list.ts'

/** A folder of its own with these files in it, removed after the test. */
function folderWith(t: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-list-'))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), content)
  }
  return folder
}

const idsIn = async (...paths: string[]) => (await listFiles(paths)).files.map(({ id }) => id)

test('a folder gives the files that can be read, in order, under ids that do not tell where it lies', async (t) => {
  const folder = folderWith(t, {
    'docs/b.txt': 'b',
    'docs/a/z.MD': 'zz',
    'docs/a.html': 'a',
    'docs/c.jsonl': '{}',
    'docs/d.png': 'd',
  })

  const { files, folders, bytes, problems } = await listFiles([join(folder, 'docs')])

  assert.deepEqual(
    files.map(({ id, format }) => [id, format]),
    [
      ['docs/a.html', 'html'],
      ['docs/a/z.MD', 'markdown'],
      ['docs/b.txt', 'text'],
      ['docs/c.jsonl', 'jsonl'],
    ],
  )
  assert.equal(bytes, 6)
  assert.deepEqual(folders, [join(folder, 'docs')])
  assert.deepEqual(problems, [])
})

test('hidden folders and node_modules are left out, unless they are given', async (t) => {
  const folder = folderWith(t, { 'docs/.git/a.md': 'a', 'docs/node_modules/p/b.md': 'b', 'docs/.c.md': 'c' })

  assert.deepEqual(await idsIn(join(folder, 'docs')), ['docs/.c.md'])
  assert.deepEqual(await idsIn(join(folder, 'docs/node_modules')), ['node_modules/p/b.md'])
  assert.deepEqual(await idsIn(join(folder, 'docs/.git')), ['.git/a.md'])
})

test('links that lead back end there, and a folder that is linked to is read once, at its own place', async (t) => {
  const folder = folderWith(t, { 'docs/z/deep/a.md': 'a', 'elsewhere/b.md': 'b' })
  symlinkSync(join(folder, 'docs'), join(folder, 'docs/z/deep/loop'))
  symlinkSync(join(folder, 'docs/z/deep'), join(folder, 'docs/a-link'))
  symlinkSync(join(folder, 'elsewhere'), join(folder, 'docs/other'))
  symlinkSync(join(folder, 'elsewhere/b.md'), join(folder, 'docs/c.md'))

  assert.deepEqual(await idsIn(join(folder, 'docs')), ['docs/c.md', 'docs/other/b.md', 'docs/z/deep/a.md'])
})

test('what cannot be read is a problem with a fix, and a folder with one is not whole', async (t) => {
  const folder = folderWith(t, { 'docs/a.md': 'a', 'b.png': 'b' })
  symlinkSync(join(folder, 'nowhere'), join(folder, 'docs/broken.md'))

  const { files, folders, problems } = await listFiles([
    join(folder, 'docs'),
    join(folder, 'b.png'),
    join(folder, 'none'),
  ])

  assert.deepEqual(
    files.map(({ id }) => id),
    ['docs/a.md'],
  )
  assert.deepEqual(folders, [])
  assert.deepEqual(
    problems.map(({ path }) => relative(folder, path)),
    ['docs/broken.md', 'b.png', 'none'],
  )
  assert.match(problems[1]!.reason, /^is not a file that can be read; give \.txt, .* or a folder$/)
})

test('two files that would be the same document are not both read', async (t) => {
  const folder = folderWith(t, { 'x/docs/a.md': 'x', 'y/docs/a.md': 'y' })

  const { files, problems } = await listFiles([join(folder, 'x/docs'), join(folder, 'y/docs'), join(folder, 'x/docs')])

  assert.deepEqual(
    files.map(({ path }) => relative(folder, path)),
    ['x/docs/a.md'],
  )
  assert.equal(problems.length, 1)
  assert.match(problems[0]!.reason, /^would be the document "docs\/a.md", as .* is; give the folder above both/)
})
