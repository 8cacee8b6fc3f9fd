import assert from 'node:assert/strict'
import { test } from 'node:test'
import { progressLine } from './ingest-progress.ts'

test('the line says how many, which share, how fast and how long it still takes', () => {
  const line = progressLine({ bytes: 250, bytesTotal: 1_000, documents: 50, ms: 10_000, last: false })

  assert.equal(line, '50 documents indexed, 25 %, 5.0/s, about 30 s left')
})

test('the last line says how long it took', () => {
  const line = progressLine({ bytes: 990, bytesTotal: 1_000, documents: 200, ms: 150_000, last: true })

  assert.equal(line, '200 documents indexed, 100 %, 1.3/s, 3 min')
})

test('at the very beginning no time is guessed', () => {
  const line = progressLine({ bytes: 1, bytesTotal: 1_000, documents: 0, ms: 0, last: false })

  assert.equal(line, '0 documents indexed, 0 %, 0.0/s')
})

test('of a stream nobody knows the share that is done', () => {
  const line = progressLine({ bytes: 250, bytesTotal: null, documents: 50, ms: 10_000, last: false })

  assert.equal(line, '50 documents indexed, 5.0/s')
})
