import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { download } from './download.ts'

const bytes = randomBytes(300_000)
const sha256 = createHash('sha256').update(bytes).digest('hex')

test('a download that breaks off goes on where it broke off, and tells what has come', async (t) => {
  const { url, asked, breakOff } = await serverWith(t, (request, response, count) => {
    const from = rangeOf(request)
    head(response, from)
    if (count > 3) return response.end(bytes.subarray(from))
    response.write(bytes.subarray(from, from + 80_000))
  })
  const to = place(t)
  const told: [number, number | null][] = []

  await download({
    ...options(url, to),
    progress(...each) {
      told.push(each)
      if (asked.length <= 3) breakOff()
    },
  })

  assert.deepEqual(readFileSync(to), bytes)
  assert.equal(existsSync(`${to}.part`), false)
  assert.equal(asked.length, 4)
  assert.ok(asked.slice(1).every((range) => /^bytes=[1-9]\d*-$/.test(range!)))
  assert.deepEqual(told.at(-1), [bytes.length, bytes.length])
  assert.ok(told.every(([has], at) => at === 0 || has > told[at - 1]![0]))
})

test('what an earlier process has got is kept', async (t) => {
  const { url, asked } = await serverWith(t, (request, response) => {
    const from = rangeOf(request)
    head(response, from)
    response.end(bytes.subarray(from))
  })
  const to = place(t)
  writeFileSync(`${to}.part`, bytes.subarray(0, 200_000))

  await download(options(url, to))

  assert.deepEqual(asked, ['bytes=200000-'])
  assert.deepEqual(readFileSync(to), bytes)
})

test('a server that knows no ranges sends all of it again, and nothing is there twice', async (t) => {
  const { url } = await serverWith(t, (_request, response) => void response.end(bytes))
  const to = place(t)
  writeFileSync(`${to}.part`, bytes.subarray(0, 1_000))

  await download(options(url, to))

  assert.deepEqual(readFileSync(to), bytes)
})

test('a part of another file is thrown away, and the file is fetched from its beginning', async (t) => {
  const { url, asked } = await serverWith(t, (request, response) => {
    const from = rangeOf(request)
    head(response, from)
    response.end(bytes.subarray(from))
  })
  const to = place(t)
  writeFileSync(`${to}.part`, randomBytes(1_000))

  await download(options(url, to))

  assert.deepEqual(asked, ['bytes=1000-', undefined])
  assert.deepEqual(readFileSync(to), bytes)
})

test('a file with another hash is refused with both, and nothing of it stays', async (t) => {
  const { url } = await serverWith(t, (_request, response) => void response.end('another file'))
  const to = place(t)

  const downloading = download(options(url, to))

  const found = createHash('sha256').update('another file').digest('hex')
  await assert.rejects(downloading, { message: `${url} has the sha256 ${found}; it must be ${sha256}` })
  assert.equal(existsSync(to) || existsSync(`${to}.part`), false)
})

test('a server that is gone for good leaves what has come, and says so', async (t) => {
  const { url, breakOff } = await serverWith(t, (request, response, count) => {
    if (count > 1) return response.destroy()
    head(response, rangeOf(request))
    response.write(bytes.subarray(0, 50_000))
  })
  const to = place(t)

  const downloading = download({ ...options(url, to), progress: breakOff })

  await assert.rejects(
    downloading,
    /could not be downloaded; \d+ bytes are kept, and the same command goes on from there/,
  )
  assert.ok(readFileSync(`${to}.part`).equals(bytes.subarray(0, readFileSync(`${to}.part`).length)))
  assert.equal(existsSync(to), false)
})

test('a file that is not there is not asked for again', async (t) => {
  const { url, asked } = await serverWith(t, (_request, response) => void response.writeHead(404).end())

  const downloading = download(options(url, place(t)))

  await assert.rejects(downloading, (error: Error) => /the server answers 404/.test(String(error.cause)))
  assert.equal(asked.length, 1)
})

test('a server that goes silent is asked again', async (t) => {
  const { url, asked } = await serverWith(t, (request, response, count) => {
    const from = rangeOf(request)
    head(response, from)
    if (count === 1) return void response.write(bytes.subarray(0, 10_000))
    response.end(bytes.subarray(from))
  })
  const to = place(t)

  await download({ ...options(url, to), idleMsMax: 100 })

  assert.deepEqual(asked, [undefined, 'bytes=10000-'])
  assert.deepEqual(readFileSync(to), bytes)
})

test('a file that is larger than the bound is given up', async (t) => {
  const { url } = await serverWith(t, (_request, response) => void response.end(bytes))

  const downloading = download({ ...options(url, place(t)), bytesMax: 1_000 })

  await assert.rejects(downloading, (error: Error) => /larger than 1000 bytes/.test(String(error.cause)))
})

const rangeOf = ({ headers }: IncomingMessage): number => Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0)

function head(response: ServerResponse, from: number): void {
  response.writeHead(from > 0 ? 206 : 200, {
    'content-length': bytes.length - from,
    ...(from > 0 && { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
  })
}

async function serverWith(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse, count: number) => unknown,
) {
  const asked: (string | undefined)[] = []
  const server = createServer((request, response) => {
    asked.push(request.headers.range)
    answer(request, response, asked.length)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const breakOff = () => server.closeAllConnections()
  return { breakOff, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.onnx`, asked }
}

function place(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-download-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return join(folder, 'model.onnx')
}

function options(url: string, to: string) {
  const { signal } = new AbortController()
  return { url, sha256, to, signal, progress() {}, attemptsMax: 2, retryDelayMs: 1 }
}
