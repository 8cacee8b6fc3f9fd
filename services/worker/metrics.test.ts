import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { observed } from './metrics.ts'

const task = { processor: 'index-vectors', topic: 'vectors', partition: 3 }
const retried = { ...task, attempt: 1, error: new Error('Qdrant did not answer') }

function observer() {
  const clock = { ms: 1_000 }
  return { clock, observer: observed(new Registry(), pino({ level: 'silent' }), () => clock.ms) }
}

test('a task that waits for long makes the worker say what for', () => {
  const { clock, observer: worker } = observer()
  worker.retried(retried)
  const atOnce = worker.waiting()

  clock.ms += 12_000
  worker.retried({ ...retried, attempt: 5 })

  assert.equal(atOnce, null)
  assert.equal(worker.waiting(), 'index-vectors on vectors/3 has been waiting for 12 s: Qdrant did not answer')
})

test('when its work goes through, or is another’s, the worker is ready again', () => {
  const { clock, observer: worker } = observer()
  worker.retried(retried)
  worker.retried({ ...retried, partition: 4 })
  clock.ms += 60_000

  worker.handled({ ...task, records: 1, rejected: 0, ms: 5 })
  worker.task({ ...task, partition: 4, state: 'revoked' })

  assert.equal(worker.waiting(), null)
})
