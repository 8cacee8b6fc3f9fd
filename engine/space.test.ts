import assert from 'node:assert/strict'
import { test } from 'node:test'
import { catalogue } from './repository/catalogue.ts'
import { type EmbeddingModel, versionOfModel } from './repository/declaration.ts'
import { canonicalJson, spaceId, spaceOf } from './space.ts'

const models = catalogue.map((each) => versionOfModel(each, 1) as EmbeddingModel)

test('the order of keys does not change a space, at any depth', () => {
  const one = { b: [1, { d: null, c: 'x' }], a: true }
  const other = { a: true, b: [1, { c: 'x', d: null }] }

  const json = canonicalJson(one)

  assert.equal(json, '{"a":true,"b":[1,{"c":"x","d":null}]}')
  assert.equal(spaceId(one), spaceId(other))
})

test('a space has an id that fits into the names of topics and collections', () => {
  const ids = models.map((model) => spaceOf(model).id)

  assert.equal(new Set(ids).size, models.length)
  for (const id of ids) assert.match(id, /^es_[0-9a-f]{16}$/)
})

test('whatever changes the meaning of a vector makes another space', () => {
  const [model] = models as [EmbeddingModel]
  const changes: Partial<EmbeddingModel>[] = [
    { name: 'other' },
    { files: { ...model.files, 'model.onnx': { sha256: '0', from: '' } } },
    { files: { ...model.files, 'tokenizer.json': { sha256: '0', from: '' } } },
    { files: { ...model.files, 'model.onnx_data': { sha256: '0', from: '' } } },
    { pooling: 'cls' },
    { quantisation: 'none' },
    { prompts: { document: '', query: 'query: ' } },
    { dimensions: 385 },
    { maxTokens: 128 },
  ]

  const ids = changes.map((change) => spaceOf({ ...model, ...change }).id)

  assert.equal(new Set([...ids, spaceOf(model).id]).size, changes.length + 1)
})

test('where a version comes from, and its number, are no part of its space', () => {
  const [model] = models as [EmbeddingModel]

  const moved = spaceOf({ ...model, version: 2, source: { kind: 'folder', path: '/elsewhere' } })

  assert.deepEqual(moved, spaceOf(model))
})

test('the space of the default model is the one that existing indexes were written in', () => {
  const [model] = models as [EmbeddingModel]

  const { id } = spaceOf(model)

  assert.equal(id, 'es_0fe59bef6b59fda9')
})
