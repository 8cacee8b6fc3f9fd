import assert from 'node:assert/strict'
import { test } from 'node:test'
import { percentile, table } from './report.ts'

test('a percentile lies between the two nearest values, whatever order they come in', () => {
  const values = [30, 10, 20, 40]

  const found = [0, 50, 100].map((percent) => percentile(values, percent))

  assert.deepEqual(found, [10, 25, 40])
})

test('the table says for each figure with an aim whether its median meets it', () => {
  const figures = [
    { name: 'kept', unit: 'ms', values: [10, 20, 60], aim: { below: 30 } },
    { name: 'not kept', unit: '', values: [0.7], aim: { atLeast: 0.8 } },
    { name: 'told', unit: 'documents/s', values: [250, 300] },
  ]

  const text = table({ name: 'example', load: [1, 2], figures })

  const lines = text.split('\n').map((line) => line.trim().split(/\s{2,}/))
  assert.deepEqual(lines.slice(2), [
    ['kept', '20.0 ms', '10.0 – 60.0', '< 30', 'holds'],
    ['not kept', '0.70', '≥ 0.8', 'missed'],
    ['told', '275 documents/s', '250 – 300'],
  ])
})
