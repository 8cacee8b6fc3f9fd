import assert from 'node:assert/strict'
import { test } from 'node:test'
import { questionsIn, reportOf } from './models-compare.ts'
import { liveIn } from './models-live.ts'

const side = (model: string, answers: readonly (readonly string[])[]) => ({
  model,
  collection: model,
  answers,
  embedMs: [1, 3],
  searchMs: [2, 4],
  cpuMs: 6,
  documents: 5,
  chunks: 2_000,
  dimensions: 256,
})

test('two models are compared over all questions, and judged over those that people have judged', () => {
  const questions = questionsIn('{"query":"one","relevant":["b"]}\n\n{"query":"two"}\n', 'q.jsonl')
  const sides = [side('old', [['a', 'b'], ['c']]), side('young', [['b', 'a'], ['d']])]

  const { overlap, judged, models } = reportOf(sides, questions, 10, null, 0.5)

  assert.deepEqual([overlap, judged], [0.5, 1])
  assert.deepEqual(
    models.map(({ ndcg, recall }) => [ndcg, recall]),
    [
      [1 / Math.log2(3), 1],
      [1, 1],
    ],
  )
  const [{ embedMs, cpuMsPerQuery, vectorBytes, cost }] = models as [(typeof models)[number]]
  assert.deepEqual([embedMs, cpuMsPerQuery, vectorBytes, cost], [{ p50: 1, p95: 3 }, 3, 2_048_000, 1])
})

test('a question that is none is named by its line', () => {
  assert.throws(() => questionsIn('{"query":"one"}\n{"question":"two"}', 'q.jsonl'), /q\.jsonl:2/)
  assert.throws(() => questionsIn(' \n', 'q.jsonl'), /holds no question/)
})

test('what live searches agree in is the mean over all of them', () => {
  const metrics = [
    'freshet_shadow_overlap_sum{space="a",beside="b"} 3',
    'freshet_shadow_overlap_count{space="a",beside="b"} 4',
  ].join('\n')

  assert.deepEqual(liveIn(metrics), { searches: 4, overlap: 0.75 })
  assert.equal(liveIn('freshet_state 1'), null)
})
