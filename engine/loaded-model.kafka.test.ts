import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { Fatal, reasonOf } from '../streams/errors.ts'
import type { Engine } from './embedder.ts'
import { createEngine } from './engine.ts'
import { loadModel, makeGolden } from './loaded-model.ts'
import { modelsDir } from './models.fixture.ts'
import type { EmbeddingModel } from './repository/declaration.ts'
import { goldenIn, goldenOf, vectorsOf } from './repository/golden.ts'
import { sha256Of } from './repository/model-files.ts'
import { declare, embeddingModelIn, folderOf } from './repository/repository.ts'

const log = { info() {}, warn() {} }
const model = embeddingModelIn(modelsDir, 'all-minilm-l6-v2-q@1')
const options = { folder: folderOf(modelsDir, model), workers: 1, log }

test('golden vectors that are made again on one machine are the same', async () => {
  const [first, second] = [await makeGolden(model, options), await makeGolden(model, options)]

  assert.deepEqual(first, second)
  assert.equal(first.vectors.length, 8)
})

test('a model that gives other vectors than its golden ones is refused, though all hashes are right', async (t) => {
  const folder = copy(t)
  const golden = goldenIn(readFileSync(join(folder, 'golden.json'), 'utf8'))
  const others = vectorsOf(golden).map((vector) => vector.toReversed())
  const made = { ...goldenOf(others, { environment: 'elsewhere', quantisation: 'int8' }) }
  writeFileSync(join(folder, 'golden.json'), JSON.stringify(made))
  const changed = { ...model, golden: await sha256Of(join(folder, 'golden.json')) }

  const loading = loadModel(changed, { ...options, folder })

  await assert.rejects(loading, (error: Error) => {
    assert.ok(error instanceof Fatal)
    assert.match(reasonOf(error), /vector of golden text \d has the cosine .*; at least 0\.95 is wanted/)
    return true
  })
})

test('golden vectors that somebody changed are refused by their hash', async (t) => {
  const folder = copy(t)
  writeFileSync(join(folder, 'golden.json'), '{}')

  const loading = loadModel(model, { ...options, folder })

  await assert.rejects(loading, /golden\.json is not the file of the model all-minilm-l6-v2-q@1: expected sha256/)
})

test('a file that was cut off and one of other dimensions are refused', async (t) => {
  const folder = copy(t)
  truncateSync(join(folder, 'model.onnx'), 1_000_000)

  await assert.rejects(loadModel(model, { ...options, folder }), /model\.onnx is not the file of the model/)
  const other: EmbeddingModel = { ...model, dimensions: 383 }
  await assert.rejects(loadModel(other, options), (error) => /384 dimensions, expected 383/.test(reasonOf(error)))
})

test('two versions of a model are in one process, each in its space', async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'freshet-models-'))
  t.after(() => rmSync(home, { recursive: true }))
  const { files, golden, source, version: _, ...rules } = model
  const shorter = { ...model, version: 2, maxTokens: 128 }
  for (const version of [1, 2]) copyTo(folderOf(home, { name: model.name, version }))
  const second = join(folderOf(home, shorter), 'golden.json')
  rmSync(second)
  writeFileSync(second, JSON.stringify(await makeGolden(shorter, options)))
  const versions = {
    1: { files, golden, source },
    2: { files, golden: await sha256Of(second), source, rules: { maxTokens: 128 } },
  }
  declare(home, model.name, () => ({ ...rules, labels: { stable: 1, canary: 2 }, policy: { latest: 1 }, versions }))

  const [stable, canary] = await Promise.all(
    ['', ':canary'].map((label) => createEngine({ model: `${model.name}${label}`, modelsDir: home, workers: 1, log })),
  )
  t.after(() => Promise.all([stable!.close(), canary!.close()]))

  const [short, long] = ['a freshet', 'word '.repeat(200)]
  const of = async (engine: Engine) => await engine.embed([short!, long!], { as: 'document' })
  const [[shortHere, longHere], [shortThere, longThere]] = await Promise.all([of(stable!), of(canary!)])
  assert.deepEqual(
    [stable!.space.id, stable!.space.maxTokens, canary!.space.maxTokens],
    ['es_0fe59bef6b59fda9', 256, 128],
  )
  assert.notEqual(canary!.space.id, stable!.space.id)
  assert.deepEqual(shortThere, shortHere)
  assert.notDeepEqual(longThere, longHere)
})

test('what is loaded and unloaded over and over leaves nothing behind', async () => {
  const script = `
    const { loadModel } = await import(${JSON.stringify(new URL('./loaded-model.ts', import.meta.url).href)})
    const [model, options] = ${JSON.stringify([model, options])}
    const rss = []
    for (let round = 0; round < 10; round++) {
      const loaded = await loadModel(model, { ...options, log: { info() {}, warn() {} } })
      await loaded.embed(['word '.repeat(250)], { as: 'document', tooLong: 'cut' })
      await loaded.close()
      gc()
      rss.push(process.memoryUsage.rss())
    }
    console.log(JSON.stringify(rss))`
  const args = ['--expose-gc', '--input-type=module', '-e', script]

  const env = { ...process.env, MALLOC_ARENA_MAX: '2' }
  const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 60_000 })

  const rss = JSON.parse(stdout) as number[]
  const [early, late] = [Math.min(...rss.slice(1, 4)), Math.min(...rss.slice(-3))]
  // A session that stayed would be 40 MiB each time.
  assert.ok(late - early < 30 * 2 ** 20, `${rss.map((bytes) => Math.round(bytes / 2 ** 20)).join(' ')} MiB`)
})

function copy(t: TestContext): string {
  const home = mkdtempSync(join(tmpdir(), 'freshet-model-'))
  t.after(() => rmSync(home, { recursive: true }))
  cpSync(options.folder, home, { recursive: true })
  return home
}

function copyTo(folder: string): void {
  mkdirSync(folder, { recursive: true })
  for (const file of [...Object.keys(model.files), 'golden.json'])
    linkOrCopy(join(options.folder, file), join(folder, file))
}

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch {
    cpSync(from, to)
  }
}
