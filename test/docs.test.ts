import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { descriptions, textOf } from '../docs/api.ts'
import { freshetCommands, pages as generatedPages, regenerated } from '../docs/generate.ts'
import { settings, variableOf } from '../services/config.ts'

const root = join(import.meta.dirname, '..')
const pages = ['*.md', 'docs/**/*.md']
  .flatMap((pattern) => globSync(pattern, { cwd: root }))
  .sort()
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
const page = (path: string): string => pages.find((each) => each.path === path)!.text

test('the tables that follow from the code are current', async () => {
  const checkedIn = generatedPages.map((path) => readFileSync(path, 'utf8'))

  const now = await Promise.all(checkedIn.map(regenerated))

  assert.ok(checkedIn.every((text) => text.includes('<!-- generated: ')))
  assert.deepEqual(now, checkedIn, 'run: node docs/generate.ts')
})

test('the descriptions of the interfaces are those of the code', () => {
  const checkedIn = descriptions.map(({ name }) => readFileSync(join(root, 'docs', name), 'utf8'))

  const now = descriptions.map(({ make }) => textOf(make()))

  assert.ok(now.every((text) => text.length > 10_000))
  assert.ok(
    now.every((text, i) => text === checkedIn[i]),
    'run: node docs/generate.ts',
  )
})

test('every freshet command in the pages is one, with the options that it has', async () => {
  const commands = new Map((await freshetCommands()).map((command) => [command.name(), command]))

  const used = pages.flatMap(({ path, text }) => freshetLines(text).map((line) => ({ path, line })))
  const wrong = used.filter(({ line }) => {
    const [name = '', ...rest] = line.split(/\s+/)
    if (name === 'COMMAND') return false
    const [sub = ''] = rest
    const top = commands.get(name)
    const command = top?.commands.find((each) => each.name() === sub) ?? top
    const known = command?.options.flatMap(({ long, short }) => [long, short]) ?? []
    return !command || rest.some((word) => /^--?[a-z]/.test(word) && !known.includes(word))
  })

  assert.deepEqual(wrong, [])
  assert.ok([...commands.keys()].every((name) => used.some(({ line }) => line.startsWith(name))))
})

test('every npm script in the pages is there', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object }

  const used = pages.flatMap(({ text }) =>
    [...text.matchAll(/npm (?:run ([a-z]+)|(start|test))\b/g)].map(([, script, short]) => script ?? short!),
  )

  assert.deepEqual(
    used.filter((name) => !(name in scripts)),
    [],
  )
  assert.ok(used.length > 0)
})

test('every path that the pages name is there', () => {
  const folders = globSync('*/', { cwd: root }).map((path) => path.replace(/\/$/, ''))
  const isOurs = (path: string) =>
    folders.includes(path.split('/')[0]!) && path.includes('/') && !path.startsWith('node_modules/')

  const named = pages.flatMap(({ path: from, text }) =>
    [...text.matchAll(/`([\w.@*-]+(?:\/[\w.@*-]*)*)`/g)].map(([, path = '']) => ({ from, path })),
  )
  const ours = named.filter(({ path }) => isOurs(path))

  assert.deepEqual(
    ours.filter(({ path }) => globSync(path, { cwd: root }).length === 0),
    [],
  )
  assert.ok(ours.length > 30)
})

test('the code map of ARCHITECTURE names each folder and file as it is', () => {
  const rows = [...page('ARCHITECTURE.md').matchAll(/^\| ((?:`\w+\/`(?:, )?)+) \|.*\| ([^|]*) \|$/gm)]

  const missing = rows.flatMap(([, folders = '', files = '']) => {
    const within = [...folders.matchAll(/`(\w+)\/`/g)].map(([, folder = '']) => folder)
    const named = [...files.matchAll(/`([\w./-]+)`/g)].map(([, file = '']) => file)
    return named.filter((file) => !within.some((folder) => existsSync(join(root, folder, file))))
  })

  assert.deepEqual(missing, [])
  assert.ok(rows.length >= 9)
})

test('links between pages lead somewhere', () => {
  const links = pages.flatMap(({ path, text }) =>
    [...text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)].map(([, to = '', anchor]) => ({ path, to, anchor })),
  )

  const broken = links.filter(({ path, to, anchor }) => {
    const target = to === '' ? join(root, path) : join(root, dirname(path), to)
    if (!existsSync(target)) return true
    return anchor !== undefined && !anchorsOf(readFileSync(target, 'utf8')).includes(anchor)
  })

  assert.deepEqual(broken, [])
  assert.ok(links.length > 20)
})

test('every setting that the pages name is one', () => {
  const files = settings.map((name) => `${variableOf(name)}_FILE`)
  const known = [...settings.map(variableOf), ...files, 'FRESHET_CONFIG', 'FRESHET_TEST_PORT_BASE']

  const named = pages.flatMap(({ path, text }) =>
    [...text.matchAll(/FRESHET_[A-Z_]+/g)].map(([name]) => ({ path, name })),
  )

  assert.deepEqual(
    named.filter(({ name }) => !known.includes(name)),
    [],
  )
})

test('the processor in ARCHITECTURE is the one that a test runs', () => {
  const source = readFileSync(join(root, 'test/example-processor.test.ts'), 'utf8').trim()

  const shown = /```ts\n([\s\S]*?)\n```/.exec(page('ARCHITECTURE.md'))?.[1]

  assert.equal(shown, source)
})

test('the list of decisions has each record, in order', () => {
  const records = pages.filter(({ path }) => /^docs\/decisions\/\d/.test(path))

  const listed = [...page('docs/decisions/README.md').matchAll(/^\d+\. \[(.*)\]\((.*)\)$/gm)].map(
    ([, title, file]) => `docs/decisions/${file}: ${title}`,
  )

  assert.deepEqual(
    listed,
    records.map(({ path, text }) => `${path}: ${/^# \d+\. (.*)$/m.exec(text)?.[1]}`),
  )
  for (const { path, text } of records)
    assert.match(text, /## Context[\s\S]*## Decision[\s\S]*## Consequences[\s\S]*## What would change it/, path)
})

/** What follows `freshet` in code, but for texts in quotes, places for words and the file's own name. */
function freshetLines(text: string): string[] {
  const code = [...text.matchAll(/```[a-z]*\n([\s\S]*?)```|`([^`\n]+)`/g)].flatMap(([, block, inline]) =>
    (block ?? inline!).split('\n'),
  )
  return code.flatMap((line) => {
    const rest = /^\s*(?:npx )?freshet ([a-zA-Z].*)$/.exec(line)?.[1]
    return rest === undefined ? [] : [rest.replace(/"[^"]*"/g, '').trim()]
  })
}

/** As GitHub makes them of headings. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  )
}
