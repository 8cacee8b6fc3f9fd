import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { overlapModel, overlapTokenizer } from './overlap-model.fixture.ts'
import { openReranker } from './reranker.ts'
import { cutPair } from './tokenizer.ts'

const { signal } = new AbortController()
const log = { info() {}, warn() {} }

test('texts are scored by what they have of the query, the same however often and in whichever company', async (t) => {
  await using world = await open(t)

  const scores = await world.rerank(
    'otters swim',
    ['An otter.', 'Otters swim far.', 'Herons and otters.', 'Nothing.'],
    { signal },
  )
  const [alone] = await world.rerank('otters swim', ['Otters swim far.'], { signal })

  // Each by itself is 1 / (1 + e^-logit), with the logit one less than the words that are the same.
  const expected = [0, 2, 1, 0].map((words) => 1 / (1 + Math.exp(1 - words)))
  assert.deepEqual(scores.map(rounded), expected.map(rounded))
  assert.equal(alone, scores[1])
  assert.equal(world.model, 'overlap@1')
})

test('whoever does not wait any longer gets the reason at once, and the next one is answered', async (t) => {
  await using world = await open(t)
  const stop = new AbortController()

  const left = world.rerank(
    'otters',
    Array.from({ length: 500 }, () => 'Otters.'),
    { signal: stop.signal },
  )
  stop.abort(new Error('gone'))

  await assert.rejects(left, /gone/)
  assert.equal((await world.rerank('otters', ['Otters.'], { signal })).length, 1)
})

test('a file that is not the declared one, and a model that makes vectors, are refused by name', async (t) => {
  const modelsDir = modelsIn(t)
  writeFileSync(join(modelsDir, 'overlap', '1', 'model.onnx'), 'something else')

  await assert.rejects(
    openReranker({ model: 'overlap', modelsDir, workers: 1, log }),
    /model\.onnx is not the file of the model overlap@1/,
  )
  await assert.rejects(
    openReranker({ model: 'all-minilm-l6-v2-q', modelsDir, workers: 1, log }),
    /makes vectors, it does not rerank/,
  )
})

test('of a pair that is too long the text is cut, and of a long query what is above half', () => {
  const pairOf = (query: number, text: number) => ({
    ids: Array.from({ length: query + text }, (_, at) => at),
    types: Array.from({ length: query + text }, (_, at) => (at < query ? 0 : 1)),
  })

  const cut = [cutPair(pairOf(4, 10), 8), cutPair(pairOf(10, 4), 8), cutPair(pairOf(6, 2), 8)]

  assert.deepEqual(
    cut.map(({ ids, types }) => [ids.join(' '), types.join('')]),
    [
      ['0 1 2 3 4 5 6 13', '00001111'],
      ['0 1 2 9 10 11 12 13', '00001111'],
      ['0 1 2 3 4 5 6 7', '00000011'],
    ],
  )
  assert.deepEqual(
    cut.map(({ truncated }) => truncated),
    [true, true, false],
  )
})

const rounded = (score: number): number => Math.round(score * 1e5) / 1e5

async function open(t: TestContext) {
  const reranker = await openReranker({ model: 'overlap', modelsDir: modelsIn(t), workers: 1, log })
  return { ...reranker, [Symbol.asyncDispose]: () => reranker.close() }
}

function modelsIn(t: TestContext): string {
  const modelsDir = mkdtempSync(join(tmpdir(), 'freshet-rerank-'))
  t.after(() => rmSync(modelsDir, { recursive: true }))
  const contents = {
    'model.onnx': overlapModel(),
    'tokenizer.json': Buffer.from(overlapTokenizer(['otters', 'swim', 'far', 'herons'])),
    'golden.json': Buffer.from('{}'),
  }
  const hashOf = (content: Buffer) => createHash('sha256').update(content).digest('hex')
  mkdirSync(join(modelsDir, 'overlap', '1'), { recursive: true })
  for (const [file, content] of Object.entries(contents)) writeFileSync(join(modelsDir, 'overlap', '1', file), content)
  const fileOf = (file: 'model.onnx' | 'tokenizer.json') => ({ sha256: hashOf(contents[file]), from: file })
  const declaration = {
    name: 'overlap',
    task: 'rerank',
    quantisation: 'none',
    maxTokens: 32,
    versions: {
      1: {
        source: { kind: 'folder', path: '.' },
        files: { 'model.onnx': fileOf('model.onnx'), 'tokenizer.json': fileOf('tokenizer.json') },
        golden: hashOf(contents['golden.json']),
      },
    },
  }
  writeFileSync(join(modelsDir, 'overlap', 'model.json'), JSON.stringify(declaration))
  return modelsDir
}
