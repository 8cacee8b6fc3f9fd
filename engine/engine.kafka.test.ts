import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { Fatal, reasonOf } from '../streams/errors.ts'
import { createEngine } from './engine.ts'
import { engineContract } from './engine-contract.ts'
import { modelsDir } from './models.fixture.ts'
import { folderOf } from './repository/repository.ts'

const log = { info() {}, warn() {} }
const model = 'all-minilm-l6-v2-q'

engineContract('the engine', () => createEngine({ modelsDir, workers: 2, log }))

test('two engines on one machine have the same fingerprint and give the same bytes', async () => {
  await using one = disposable(await createEngine({ modelsDir, workers: 1, log }))
  await using other = disposable(await createEngine({ modelsDir, workers: 2, log }))

  const [vectors, again] = await Promise.all([
    one.engine.embed(['a freshet'], { as: 'document' }),
    other.engine.embed(['a freshet'], { as: 'query' }),
  ])

  assert.equal(one.engine.fingerprint, other.engine.fingerprint)
  assert.deepEqual(vectors, again)
})

test('with no workers for documents the one for queries embeds them too', async () => {
  await using held = disposable(await createEngine({ modelsDir, workers: 0, log }))

  const [document] = await held.engine.embed(['a freshet'], { as: 'document' })
  const [query] = await held.engine.embed(['a freshet'], { as: 'query' })

  assert.deepEqual(document, query)
  assert.equal(held.engine.stats().restarts.length, 1)
})

test('a text longer than the model takes is counted, and its start decides its vector', async () => {
  await using held = disposable(await createEngine({ modelsDir, workers: 1, log }))

  const [long, longer] = await held.engine.embed(['word '.repeat(400), 'word '.repeat(500)], { as: 'document' })

  assert.deepEqual(long, longer)
  assert.equal(held.engine.stats().truncated, 2)
})

test('a chunk of a document is never longer than the model takes', async () => {
  await using held = disposable(await createEngine({ modelsDir, workers: 1, log }))
  const text = 'Internationalisation of e-mail addresses (RFC 6531), 東京大学 😀😀 µ-services: `a_b.c[d]`. '.repeat(60)

  const chunks = await held.engine.split(text)
  await held.engine.embed(
    chunks.map((chunk) => chunk.text),
    { as: 'document' },
  )

  assert.ok(chunks.length > 5)
  assert.equal(held.engine.stats().truncated, 0)
})

test('a model file that is not the one of the catalogue is refused, with both hashes', async () => {
  await using dir = await scratch()
  const [there, here] = [modelsDir, dir.path].map((each) => folderOf(each, { name: model, version: 1 })) as [
    string,
    string,
  ]
  await mkdir(here, { recursive: true })
  await symlink(join(there, 'model.onnx'), join(here, 'model.onnx'))
  await cp(join(there, 'tokenizer.json'), join(here, 'tokenizer.json'))
  await writeFile(join(here, 'tokenizer.json'), ' ', { flag: 'a' })

  const starting = createEngine({ modelsDir: dir.path, workers: 1, log })

  await assert.rejects(starting, (error: Error) => {
    assert.ok(error instanceof Fatal)
    assert.match(error.message, /tokenizer\.json .*expected sha256 da0e7993[0-9a-f]{56}, found [0-9a-f]{64}$/)
    return true
  })
})

test('a model file that is not there is named, with where it comes from', async () => {
  await using dir = await scratch()

  const starting = createEngine({ modelsDir: dir.path, workers: 1, log })

  await assert.rejects(starting, (error: Error) =>
    /model\.onnx .*langchain4j-embeddings-all-minilm/.test(reasonOf(error)),
  )
})

test('a model that is not in the catalogue is refused with the names of those that are', async () => {
  const starting = createEngine({ model: 'none', modelsDir, workers: 1, log })

  await assert.rejects(starting, /no model is called 'none'; there are: all-minilm-l6-v2-q, /)
})

test('a question to a closed engine starts no thread', async () => {
  const engine = await createEngine({ modelsDir, workers: 1, log })

  await engine.close()

  await assert.rejects(engine.embed(['late'], { as: 'query' }), { message: 'the engine is closed' })
  assert.equal(engine.stats().restarts.length, 1)
})

test('a closed engine keeps no process alive', async () => {
  const script = `
    const { createEngine } = await import(${JSON.stringify(new URL('./engine.ts', import.meta.url).href)})
    const log = { info() {}, warn() {} }
    const engine = await createEngine({ modelsDir: ${JSON.stringify(modelsDir)}, workers: 2, log })
    await engine.embed(['a'], { as: 'query' })
    await engine.close()
    console.log('closed')`

  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    timeout: 20_000,
  })

  assert.equal(stdout, 'closed\n')
})

function disposable(engine: Awaited<ReturnType<typeof createEngine>>) {
  return { engine, [Symbol.asyncDispose]: () => engine.close() }
}

async function scratch() {
  const path = resolve(await mkdtemp(join(tmpdir(), 'freshet-models-')))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}
