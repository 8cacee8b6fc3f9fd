import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Admission } from './admission.ts'

const bounds = { textsMax: { interactive: 4, bulk: 10 } }

test('more texts than the bound are refused with when to come back, and each priority has its own bound', () => {
  const admission = new Admission(bounds)

  const first = admission.take(10, 'bulk', null)
  const second = admission.take(1, 'bulk', null)
  const question = admission.take(4, 'interactive', null)

  assert.deepEqual([first.admitted, second.admitted, question.admitted], [true, false, true])
  assert.ok(!second.admitted && second.retryAfterMs > 0 && second.reason === '10 texts wait already, and 10 may')
})

test('what has ended makes room, whether it was answered or not', () => {
  const admission = new Admission(bounds)
  admission.take(10, 'bulk', null)

  admission.ended(10, 'bulk', 0, 0)

  assert.equal(admission.pending('bulk'), 0)
  assert.equal(admission.take(10, 'bulk', null).admitted, true)
})

test('a request that is larger than the bound is let in when nothing else is there', () => {
  const admission = new Admission(bounds)

  assert.equal(admission.take(50, 'bulk', null).admitted, true)
  assert.equal(admission.take(1, 'bulk', null).admitted, false)
})

test('what could only be answered after its deadline is refused before anything is computed', () => {
  const admission = measured()
  admission.take(8, 'bulk', null)

  const late = admission.take(1, 'bulk', 50)
  const inTime = admission.take(1, 'bulk', 200)

  // Ten texts a second: eight take 80 ms.
  assert.ok(
    !late.admitted && late.retryAfterMs === 30 && /would wait 80 ms, and its deadline is in 50 ms/.test(late.reason),
  )
  assert.equal(inTime.admitted, true)
})

test('bulk waits for what is interactive, and not the other way round', () => {
  const admission = measured()
  admission.take(4, 'interactive', null)
  admission.take(8, 'bulk', null)

  assert.equal(admission.take(1, 'bulk', 110).admitted, false)
  admission.ended(2, 'interactive', 2, 1_001)
  assert.equal(admission.take(1, 'interactive', 25).admitted, true)
})

/** Of late, 100 texts a second. */
function measured(): Admission {
  const admission = new Admission(bounds)
  admission.take(10, 'bulk', null)
  admission.ended(0, 'bulk', 0, 500)
  admission.ended(5, 'bulk', 25, 750)
  admission.ended(5, 'bulk', 25, 1_000)
  return admission
}
