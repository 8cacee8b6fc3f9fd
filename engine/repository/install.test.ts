import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { ModelDeclaration } from './declaration.ts'
import { goldenOf } from './golden.ts'
import { type Installing, install } from './install.ts'
import { verifyFiles } from './model-files.ts'
import { declarationIn, declaredIn, folderOf, modelIn } from './repository.ts'

const contents = { 'model.onnx': 'weights', 'tokenizer.json': '{}' }
const hashOf = (text: string) => createHash('sha256').update(text).digest('hex')
const golden = goldenOf([Float32Array.of(1)], { environment: 'here', quantisation: 'none' })

test('a version from a folder is copied, tried, and then declared', async (t) => {
  const { installing, modelsDir } = world(t)

  const added = await install(installing)

  await verifyFiles(folderOf(modelsDir, added), added)
  assert.deepEqual(modelIn(modelsDir, 'mine'), added)
  assert.deepEqual(readdirSync(join(modelsDir, 'mine')).sort(), ['1', 'model.json'])
})

test('another version leaves the labels and the first one as they are', async (t) => {
  const { installing, modelsDir } = world(t)
  await install(installing)

  const [first] = Object.values(installing.declaration.versions)
  const second = { ...installing.declaration, versions: { 2: first! }, labels: { stable: 2 } } as ModelDeclaration
  await install({ ...installing, declaration: second })

  const { labels, versions } = declarationIn(modelsDir, 'mine')
  assert.deepEqual([labels, Object.keys(versions)], [{ stable: 1 }, ['1', '2']])
})

test('a file with another hash is refused, and the model is not declared', async (t) => {
  const { installing, modelsDir, source } = world(t)
  writeFileSync(join(source, 'model.onnx'), 'other weights')

  await assert.rejects(install(installing), /model\.onnx is not the file of the model mine@1: expected sha256/)

  assert.deepEqual(declaredIn(modelsDir), [])
})

test('a model that does not work is not declared, and what was fetched is not fetched again', async (t) => {
  const { installing, modelsDir, source } = world(t)
  const broken = async () => Promise.reject(new Error('it has no output'))

  await assert.rejects(install({ ...installing, golden: broken }), /it has no output/)
  rmSync(source, { recursive: true })

  assert.deepEqual(declaredIn(modelsDir), [])
  await install(installing)
  assert.equal(existsSync(join(modelsDir, 'mine', '1', 'golden.json')), true)
})

test('a name of a model with another task is refused', async (t) => {
  const { installing, modelsDir } = world(t)
  await install(installing)
  const before = readFileSync(join(modelsDir, 'mine', 'model.json'), 'utf8')

  const {
    pooling: _,
    prompts: __,
    dimensions: ___,
    ...rest
  } = installing.declaration as Extract<ModelDeclaration, { task: 'embed' }>
  const reranker = { ...rest, task: 'rerank', versions: { 2: rest.versions[1]! }, labels: {} } as ModelDeclaration

  await assert.rejects(install({ ...installing, declaration: reranker }), /mine is a model to embed, not to rerank/)
  assert.equal(readFileSync(join(modelsDir, 'mine', 'model.json'), 'utf8'), before)
})

function world(t: TestContext) {
  const home = mkdtempSync(join(tmpdir(), 'freshet-install-'))
  t.after(() => rmSync(home, { recursive: true }))
  const [modelsDir, source] = [join(home, 'models'), join(home, 'source')]
  mkdirSync(source)
  for (const [file, content] of Object.entries(contents)) writeFileSync(join(source, file), content)
  const files = Object.fromEntries(
    Object.entries(contents).map(([file, content]) => [file, { sha256: hashOf(content), from: file }]),
  )
  const declaration: ModelDeclaration = {
    name: 'mine',
    task: 'embed',
    pooling: 'mean',
    quantisation: 'none',
    prompts: { document: '', query: '' },
    dimensions: 1,
    maxTokens: 64,
    versions: { 1: { source: { kind: 'folder', path: source }, files, golden: '0'.repeat(64) } },
    labels: { stable: 1 },
    policy: { latest: 1 },
  }
  const installing: Installing = {
    modelsDir,
    declaration,
    signal: new AbortController().signal,
    maven: () => Promise.reject(new Error('there is no jar')),
    golden: async () => golden,
    progress() {},
  }
  return { installing, modelsDir, source }
}
