import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { spaceOf } from '../space.ts'
import { catalogue } from './catalogue.ts'
import { type EmbeddingModel, type ModelDeclaration, servedVersions } from './declaration.ts'
import { referenceOf } from './reference.ts'
import { declarationIn, declarationsIn, declare, embeddingModelIn, modelIn, withVersions } from './repository.ts'

const [minilm, , bge] = catalogue as [ModelDeclaration, ModelDeclaration, ModelDeclaration]
const { versions } = bge
const three = withVersions(minilm, { 2: versions[1]!, 3: versions[1]! } as ModelDeclaration['versions'])

test('a model is asked for by its name, a version, or a label', () => {
  const references = ['m', 'm@3', 'm:canary'].map(referenceOf)

  assert.deepEqual(references, [
    { name: 'm', version: null, label: null },
    { name: 'm', version: 3, label: null },
    { name: 'm', version: null, label: 'canary' },
  ])
  for (const wrong of ['', 'M', '../m', 'm@', 'm@0', 'm@x', 'm:', 'm@1:a', 'm/1'])
    assert.throws(() => referenceOf(wrong), /names no model; write NAME, NAME@VERSION or NAME:LABEL/)
})

test('without a version the stable one is meant, and without that label the newest', (t) => {
  const models = folder(t)
  declare(models, minilm.name, () => ({ ...three, labels: { stable: 1, canary: 3 } }))
  declare(models, bge.name, () => withVersions({ ...bge, labels: {} }, { 2: versions[1]! } as typeof versions))

  const meant = [minilm.name, `${minilm.name}:canary`, `${minilm.name}@2`, bge.name].map((each) =>
    modelIn(models, each),
  )

  assert.deepEqual(
    meant.map(({ version }) => version),
    [1, 3, 2, 2],
  )
  assert.throws(() => modelIn(models, `${minilm.name}@4`), /has no version 4; there are: 1, 2, 3$/)
  assert.throws(() => modelIn(models, `${minilm.name}:next`), /has no label next; there are: .*stable \(version 1\)/)
})

test('what the catalogue knows needs no folder, and what nobody knows is refused with the names of what there is', (t) => {
  const models = folder(t)

  const model = embeddingModelIn(join(models, 'none'), minilm.name)

  assert.equal(spaceOf(model).id, 'es_0fe59bef6b59fda9')
  assert.throws(() => modelIn(models, 'other'), /no model is called 'other'; there are: all-minilm-l6-v2-q, /)
  assert.deepEqual(declarationsIn(models), catalogue)
})

test('a version may have rules of its own, and they make another space', (t) => {
  const models = folder(t)
  const same = minilm.versions[1]!
  const other = { ...same, rules: { maxTokens: 128, pooling: 'cls' as const } }
  declare(models, minilm.name, () => withVersions(minilm, { 2: same, 3: other } as ModelDeclaration['versions']))

  const [first, second, third] = [1, 2, 3].map((version) => modelIn(models, `${minilm.name}@${version}`)) as [
    EmbeddingModel,
    EmbeddingModel,
    EmbeddingModel,
  ]

  assert.deepEqual([third.maxTokens, third.pooling, third.dimensions], [128, 'cls', 384])
  assert.deepEqual(spaceOf(second), spaceOf(first))
  assert.notEqual(spaceOf(third).id, spaceOf(first).id)
})

test('the policy says which versions are served, with those that labels and traffic name', () => {
  const served = (changes: Partial<ModelDeclaration>) =>
    servedVersions({ ...three, labels: {}, ...changes } as ModelDeclaration)

  assert.deepEqual(served({}), [3])
  assert.deepEqual(served({ policy: { latest: 2 } }), [3, 2])
  assert.deepEqual(served({ policy: { specific: [1] } }), [1])
  assert.deepEqual(served({ labels: { stable: 1 } }), [3, 1])
  assert.deepEqual(
    served({ traffic: { routes: [{ version: 1, percent: 100 }], sticky: 'tenant', shadow: 2 } }),
    [3, 2, 1],
  )
})

test('a declaration that contradicts itself is refused with all its faults, and the one that was there stays', (t) => {
  const models = folder(t)
  declare(models, minilm.name, () => minilm)

  const wrong = {
    ...minilm,
    labels: { stable: 7 },
    traffic: { routes: [{ version: 1, percent: 50 }], sticky: 'tenant' as const, shadow: null },
  }

  assert.throws(
    () => declare(models, minilm.name, () => wrong),
    /labels\.stable: version 7 is not declared; there are: 1; traffic\.routes: the percents make 50, not 100/,
  )
  assert.deepEqual(declarationIn(models, minilm.name), minilm)
})

test('a model.json that is not one is named with what is wrong', (t) => {
  const models = folder(t)
  mkdirSync(join(models, 'broken'))
  writeFileSync(join(models, 'broken', 'model.json'), '{"task":"embed"')

  assert.throws(() => declarationIn(models, 'broken'), /broken\/model\.json is not JSON/)
  writeFileSync(join(models, 'broken', 'model.json'), JSON.stringify({ ...minilm, pooling: 'max' }))
  assert.throws(() => declarationIn(models, 'broken'), /broken\/model\.json declares no model: pooling: /)
  writeFileSync(join(models, 'broken', 'model.json'), JSON.stringify(minilm))
  assert.throws(() => declarationIn(models, 'broken'), /declares the model all-minilm-l6-v2-q; its folder is broken/)
})

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'freshet-repository-'))
  t.after(() => rmSync(path, { recursive: true }))
  return path
}
