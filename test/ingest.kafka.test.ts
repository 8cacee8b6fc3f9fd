import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { repositoryDir } from '../infra/local/settings.ts'
import type { Document } from '../schemas/records.ts'
import { documents } from '../schemas/topics.ts'
import { openPlatform } from './platform.ts'
import { recordsOf } from './topic-records.ts'
import { until } from './until.ts'

const home = mkdtempSync(join(tmpdir(), 'freshet-sources-'))
after(() => rmSync(home, { recursive: true, force: true }))
const platform = await openPlatform({ env: { FRESHET_DATA: join(home, 'data') } })
after(() => platform[Symbol.asyncDispose]())
const [, { url }] = await Promise.all([platform.worker(), platform.query()])

/** The latest text of each document. */
async function texts(): Promise<Record<string, string>> {
  const latest = new Map<string, string>()
  for (const { key, value } of await recordsOf(platform, documents)) {
    const id = String(key).slice('acme/'.length)
    if (value === null) latest.delete(id)
    else latest.set(id, ((await platform.serde.decode(documents, value)) as Document).text.trim())
  }
  return Object.fromEntries([...latest].sort())
}

const become = (wanted: Record<string, string>) =>
  until('documents are those of the sources', async () => {
    const found = JSON.stringify(await texts())
    return found === JSON.stringify(Object.fromEntries(Object.entries(wanted).sort())) || `found ${found}`
  })

const folder = join(home, 'docs')
const write = (name: string, text: string) => writeFileSync(join(folder, name), text)

test('a watched folder is what documents hold, also after a kill -9 with changes while nobody watched', async () => {
  mkdirSync(join(folder, 'sub'), { recursive: true })
  write('a.md', 'Bittern')
  write('b.txt', 'Curlew')
  write('goods.csv', 'id,text\nr1,Ruff\nr2,Reeve\n')
  const args = ['ingest', folder, '--watch', '--json', '--id', 'id', '--text', 'text'] as const
  const first = platform.freshet(...args)
  await become({ 'docs/a.md': 'Bittern', 'docs/b.txt': 'Curlew', r1: 'Ruff', r2: 'Reeve' })

  write('a.md', 'Bittern booms')
  rmSync(join(folder, 'b.txt'))
  write('sub/c.md', 'Crane')
  write('goods.csv', 'id,text\nr2,Reeve\n')
  await become({ 'docs/a.md': 'Bittern booms', 'docs/sub/c.md': 'Crane', r2: 'Reeve' })
  await first.kill('SIGKILL')

  write('d.md', 'Dunlin')
  rmSync(join(folder, 'a.md'))
  renameSync(join(folder, 'sub'), join(folder, 'other'))
  const second = platform.freshet(...args)
  await become({ 'docs/d.md': 'Dunlin', 'docs/other/c.md': 'Crane', r2: 'Reeve' })
  second.kill('SIGTERM').catch(() => {})

  assert.equal(await second.ended, 'ended with exit code 0', second.log())
  // What was in doubt when it was killed was done again: at least this.
  const [run] = second
    .log()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { indexed: number; deleted: number })
  assert.ok(run !== undefined && run.indexed >= 2 && run.deleted >= 2, second.log())
})

test('a feed and a page are published once, asked with what they said, and followed', async () => {
  rmSync(folder, { recursive: true })
  mkdirSync(folder)
  assert.equal(await platform.freshet('ingest', folder).ended, 'ended with exit code 0')
  let entries = ['one', 'two']
  const asked: (string | undefined)[] = []
  const server = createServer(({ url: path, headers }, response) => {
    if (path === '/page') return response.setHeader('content-type', 'text/plain').end('Page')
    const etag = `"${entries.join()}"`
    asked.push(headers['if-none-match'])
    if (headers['if-none-match'] === etag) return response.writeHead(304).end()
    const items = entries.map((entry) => `<item><guid>${entry}</guid><description>Entry ${entry}</description></item>`)
    response.setHeader('etag', etag).end(`<rss><channel>${items.join('')}</channel></rss>`)
  }).listen(0, '127.0.0.1')
  after(() => server.close())
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const args = ['ingest', '--feed', `http://${host}/feed`, '--poll', `http://${host}/page`, '--json']

  const refused = platform.freshet(...args)
  assert.equal(await refused.ended, 'ended with exit code 1')
  const runs = [platform.freshet(...args, '--allow-private')]
  await runs[0]!.ended
  runs.push(platform.freshet(...args, '--allow-private'))
  await runs[1]!.ended
  entries = ['two', 'three']
  runs.push(platform.freshet(...args, '--allow-private'))
  await runs[2]!.ended

  assert.match(refused.log(), /is a private address/)
  const counts = runs.map((run) => JSON.parse(run.log().slice(run.log().indexOf('{\n'))) as { indexed: number })
  assert.deepEqual(
    counts.map(({ indexed }) => indexed),
    [3, 0, 1],
  )
  assert.deepEqual(asked, [undefined, '"one,two"', '"one,two"'])
  await become({
    [`${host}/feed#one`]: 'Entry one',
    [`${host}/feed#two`]: 'Entry two',
    [`${host}/feed#three`]: 'Entry three',
    [`${host}/page`]: 'Page',
  })
})

test('lines of standard input are published while it is still open', async () => {
  const before = await texts()
  const child = spawn(process.execPath, ['cli/main.ts', 'ingest', '-'], {
    cwd: repositoryDir,
    env: { ...process.env, ...platform.env, FRESHET_URL: url },
    stdio: ['pipe', 'ignore', 'ignore'],
  })

  child.stdin.write('{"id":"s1","text":"Snipe"}\n{"id":"s2","text":"Stint"}\n')
  await become({ ...before, s1: 'Snipe', s2: 'Stint' })
  child.stdin.end('{"id":"s1","delete":true}\n')

  assert.deepEqual(await once(child, 'exit'), [0, null])
  await become({ ...before, s2: 'Stint' })
})
