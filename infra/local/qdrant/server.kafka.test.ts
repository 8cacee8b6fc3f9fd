/** What the embedded Qdrant keeps when its process ends, and what it refuses. Needs its Python, not the stack. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { Code, ConnectError } from '@connectrpc/connect'
import { localSettings } from '../settings.ts'
import { allPayload, type Connected, connect, contents, createRequest, id, is, nearest, point } from './requests.ts'

const host = '127.0.0.1'
const collectionName = 'kept'
const within10s = { timeoutMs: 10_000 }
const running = new Set<ChildProcess>()
const folders: string[] = []

after(async () => {
  for (const child of running) {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  for (const folder of folders) rmSync(folder, { recursive: true })
})

test('every acknowledged write is there after kill -9, with the collections, indexes and aliases', async () => {
  const folder = newFolder()
  const first = await serve(folder)
  await first.qdrant.collections.create(createRequest(collectionName, 4), within10s)
  await first.qdrant.points.createFieldIndex({ collectionName, wait: true, fieldName: 'n', fieldType: 1 }, within10s)
  const alias = { case: 'createAlias' as const, value: { collectionName, aliasName: 'current' } }
  await first.qdrant.collections.updateAliases({ actions: [{ action: alias }] }, within10s)

  const acknowledged = await writeUntilKilled(first)

  const { qdrant } = await serve(folder)
  const wanted = Array.from({ length: acknowledged }, (_, n) => n)
  const { result } = await qdrant.points.get(
    { collectionName: 'current', ids: wanted.map(id), withPayload: allPayload },
    within10s,
  )
  const info = await qdrant.collections.get({ collectionName }, within10s)
  assert.ok(acknowledged >= 200, `only ${acknowledged} writes before the kill`)
  assert.deepEqual(
    result.map(({ payload }) => contents(payload).n),
    wanted.map(BigInt),
  )
  assert.deepEqual(Object.keys(info.result?.payloadSchema ?? {}), ['n'])
})

test('a compare-and-set that was acknowledged is not undone by kill -9, nor one that was refused done', async () => {
  const folder = newFolder()
  const first = await serve(folder)
  await first.qdrant.collections.create(createRequest(collectionName, 4), within10s)
  const fence = (wanted: bigint, next: bigint) => ({
    collectionName,
    wait: true,
    points: [point(1, {}, { fence: next })],
    updateMode: 2,
    updateFilter: { must: [is('fence', wanted)] },
  })
  await first.qdrant.points.upsert({ collectionName, wait: true, points: [point(1, {}, { fence: 1n })] }, within10s)

  await first.qdrant.points.upsert(fence(1n, 2n), within10s)
  await first.qdrant.points.upsert(fence(1n, 99n), within10s)
  await kill(first.child)

  const { qdrant } = await serve(folder)
  const { result } = await qdrant.points.get({ collectionName, ids: [id(1)], withPayload: allPayload }, within10s)
  assert.deepEqual(
    result.map(({ payload }) => contents(payload)),
    [{ fence: 2n }],
  )
})

test('SIGTERM ends it with exit code 0, and a deleted collection stays deleted', async () => {
  const folder = newFolder()
  const first = await serve(folder)
  for (const name of [collectionName, 'dropped'])
    await first.qdrant.collections.create(createRequest(name, 4), within10s)
  await first.qdrant.points.upsert(
    { collectionName, wait: true, points: [point(1, { dense: [1, 0, 0, 0] })] },
    within10s,
  )
  await first.qdrant.collections.delete({ collectionName: 'dropped' }, within10s)

  first.child.kill('SIGTERM')
  const [code] = await once(first.child, 'exit')

  const { qdrant } = await serve(folder)
  const { collections } = await qdrant.collections.list({}, within10s)
  assert.equal(code, 0)
  assert.deepEqual(
    collections.map(({ name }) => name),
    [collectionName],
  )
  assert.equal((await qdrant.points.get({ collectionName, ids: [id(1)] }, within10s)).result.length, 1)
})

test('a second process on the same folder is refused and says who serves it', async () => {
  const folder = newFolder()
  const { child } = await serve(folder)

  const second = start(folder)
  const [said, [code]] = await Promise.all([text(second.stderr), once(second, 'exit')])

  assert.equal(code, 1)
  assert.match(said, new RegExp(`already served by another process \\(pid ${child.pid}\\)`))
})

test('a port that is taken ends it with a reason', async () => {
  const { port } = await serve(newFolder())

  const second = start(newFolder(), port)
  const [said, [code]] = await Promise.all([text(second.stderr), once(second, 'exit')])

  assert.equal(code, 1)
  assert.match(said, new RegExp(String(port)))
})

test('what the engine lacks is refused as unimplemented, never answered otherwise', async () => {
  const { qdrant } = await serve(newFolder())
  await qdrant.collections.create(createRequest(collectionName, 4), within10s)
  const slice = { conditionOneOf: { case: 'slice' as const, value: { total: 2, index: 0 } } }
  const sharded = { shardKeySelector: { shardKeys: [{ key: { case: 'keyword' as const, value: 'a' } }] } }
  const query = nearest([1, 0, 0, 0])

  const calls = {
    groups: () => qdrant.points.queryGroups({ collectionName, query, using: 'dense', groupBy: 'n' }, within10s),
    slice: () => qdrant.points.count({ collectionName, filter: { must: [slice] } }, within10s),
    'shard key': () => qdrant.points.query({ collectionName, query, using: 'dense', ...sharded }, within10s),
    lookup: () => qdrant.points.query({ collectionName, query, lookupFrom: { collectionName: 'other' } }, within10s),
    shards: () => qdrant.collections.create({ ...createRequest('sharded', 4), shardNumber: 2 }, within10s),
    update: () => qdrant.collections.update({ collectionName, params: { onDiskPayload: true } }, within10s),
  }

  for (const [name, call] of Object.entries(calls)) {
    await assert.rejects(call(), (error) => error instanceof ConnectError && error.code === Code.Unimplemented, name)
  }
})

interface Served {
  readonly child: ChildProcess
  readonly port: number
  readonly qdrant: Connected
}

/** Resolves when it is ready; rejects if it ends before. */
async function serve(folder: string): Promise<Served> {
  const child = start(folder)
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the embedded Qdrant ended with ${code} before it was ready`)
  })
  const [line] = await Promise.race([once(createInterface({ input: child.stdout! }), 'line'), ended])
  ended.catch(() => {})
  const { port } = JSON.parse(line)
  return { child, port, qdrant: connect(`http://${host}:${port}`) }
}

/** Port 0: any that is free. */
function start(folder: string, port = 0): ChildProcess {
  const script = join(import.meta.dirname, 'server.py')
  const child = spawn(python(), [script, '--host', host, '--port', String(port), '--path', folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

function python(): string {
  const { toolsDir } = localSettings(process.env)
  const made = existsSync(toolsDir) ? readdirSync(toolsDir).filter((name) => /^(python-|venv$)/.test(name)) : []
  const found = process.env.FRESHET_PYTHON ?? (made[0] && join(toolsDir, made[0], 'bin', 'python'))
  if (!found) throw new Error(`no Python for the embedded Qdrant in ${toolsDir}; FRESHET_PYTHON can name one`)
  return found
}

/** Writes one point after the other and kills the process in the midst of it. Returns how many were acknowledged. */
async function writeUntilKilled({ child, qdrant }: Served): Promise<number> {
  const exited = once(child, 'exit')
  for (let n = 0; ; n++) {
    const points = [point(n, { dense: [n, 1, 0, 0], terms: [[n % 50, 1]] }, { n: BigInt(n) })]
    const written = qdrant.points.upsert({ collectionName, wait: true, points }, within10s)
    if (n === 250) child.kill('SIGKILL')
    try {
      await written
    } catch {
      await exited
      return n
    }
  }
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

async function text(stream: ChildProcess['stderr']): Promise<string> {
  let all = ''
  for await (const chunk of stream!) all += chunk
  return all
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'embedded-qdrant-'))
  folders.push(folder)
  return folder
}
