import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadModel } from '../../engine/loaded-model.ts'
import { modelsDir } from '../../engine/models.fixture.ts'
import type { ModelDeclaration, VersionDeclaration } from '../../engine/repository/declaration.ts'
import { declarationIn, declare, embeddingModelIn, folderOf } from '../../engine/repository/repository.ts'
import { ServedModels } from './served-models.ts'

const name = 'all-minilm-l6-v2-q'
const log = { info() {}, warn() {} }
const sticky = () => 'acme'

/** The corruptions of fault F25, of a version that is added beside one that serves. */
const corruptions: Readonly<
  Record<string, { spoil(folder: string): void; rules?: { dimensions: number }; says: RegExp }>
> = {
  'one bit of a weight is another': {
    spoil(folder) {
      const bytes = readFileSync(join(folder, 'model.onnx'))
      bytes[bytes.length >> 1]! ^= 1
      writeFileSync(join(folder, 'model.onnx'), bytes)
    },
    says: /model\.onnx is not the file of the model .*@2: expected sha256/,
  },
  'the model is cut off': {
    spoil: (folder) => truncateSync(join(folder, 'model.onnx'), 1_000_000),
    says: /model\.onnx is not the file of the model/,
  },
  'the vocabulary is of another model': {
    spoil(folder) {
      const path = join(folder, 'tokenizer.json')
      writeFileSync(path, readFileSync(path, 'utf8').replace('"the"', '"eht"'))
    },
    says: /tokenizer\.json is not the file of the model/,
  },
  'the model is missing': {
    spoil: (folder) => rmSync(join(folder, 'model.onnx')),
    says: /cannot read .*model\.onnx/,
  },
  'the vectors have other dimensions than are declared': {
    spoil() {},
    rules: { dimensions: 383 },
    says: /384 dimensions, expected 383/,
  },
}

test('a corrupt version is refused whatever is corrupt, and the previous one goes on serving', async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'freshet-served-'))
  const first = embeddingModelIn(modelsDir, `${name}@1`)
  const original = declarationIn(modelsDir, name)
  const folder = (version: number) => folderOf(home, { name, version })
  cpSync(folderOf(modelsDir, first), folder(1), { recursive: true })
  const declared = (version?: object) => {
    const { 1: one } = original.versions
    const versions: Record<string, VersionDeclaration> = { 1: one!, ...(version && { 2: { ...one!, ...version } }) }
    // The newest is the one that is to serve.
    declare(home, name, () => ({ ...original, labels: {}, policy: { latest: 1 }, versions }) as ModelDeclaration)
  }
  declared()
  const models = new ServedModels([name], {
    declaration: (each) => declarationIn(home, each),
    load: (model) => loadModel(model, { folder: folderOf(home, model), workers: 1, log }),
    bounds: { textsMax: { interactive: 10, bulk: 10 } },
    now: Date.now,
    told() {},
  })
  t.after(async () => {
    await models.close()
    rmSync(home, { recursive: true })
  })
  await models.follow()
  const embed = async () => {
    const { loaded } = models.pick(name, sticky)
    const { answers } = await loaded.embed(['a freshet'], { as: 'document', tooLong: 'refuse' })
    return { version: loaded.model.version, vector: answers[0]!.vector }
  }
  const before = await embed()

  for (const [what, { spoil, rules, says }] of Object.entries(corruptions)) {
    rmSync(folder(2), { recursive: true, force: true })
    cpSync(folder(1), folder(2), { recursive: true })
    spoil(folder(2))
    // Each is another declaration, and is tried.
    declared({ rules: { maxTokens: 256, ...rules }, source: { kind: 'folder', path: `/${what}` } })
    await models.follow()

    const row = models.rows().find(({ version }) => version === '2')
    assert.equal(row?.state, 'UNAVAILABLE', what)
    assert.match(row.reason, says, what)
    assert.deepEqual(await embed(), before, what)
    assert.equal(models.missing(), null)
  }

  rmSync(folder(2), { recursive: true })
  cpSync(folder(1), folder(2), { recursive: true })
  declared({})
  await models.follow()
  assert.deepEqual(await embed(), { ...before, version: 2 })
  assert.deepEqual(models.ready, [`${name}@2`])
})
