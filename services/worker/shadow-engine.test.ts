import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashEngine } from '../../engine/hash-engine.ts'
import { virtualClock } from '../../streams/clock.ts'
import { shadowEngine } from './shadow-engine.ts'

/** An engine that says how much it is given at once. */
function watched() {
  const engine = hashEngine()
  const given: number[] = []
  let under = 0
  let most = 0
  return {
    given,
    most: () => most,
    engine: {
      ...engine,
      async embed(texts: readonly string[], options: Parameters<typeof engine.embed>[1]) {
        given.push(texts.length)
        under += texts.length
        most = Math.max(most, under)
        const vectors = await engine.embed(texts, options)
        under -= texts.length
        return vectors
      },
    },
  }
}

const texts = Array.from({ length: 7 }, (_, i) => `text ${i}`)
const turns = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
}

test('a space that does not answer embeds few texts at once, whoever asks, and gives what its engine gives', async () => {
  const { engine, given, most } = watched()
  const shadow = shadowEngine(engine, { serves: () => false, waiting: () => 0, textsMax: 2, clock: virtualClock() })

  const [first, second] = await Promise.all([texts, texts].map((all) => shadow.embed(all, { as: 'document' })))

  assert.deepEqual(given, [2, 2, 2, 2, 2, 2, 1, 1])
  assert.equal(most(), 2)
  const alone = await engine.embed(texts, { as: 'document' })
  assert.deepEqual([first, second], [alone, alone])
})

test('it waits while texts of the space that answers are waiting, and not for ever', async () => {
  const { engine, given } = watched()
  const clock = virtualClock()
  let waiting = 5
  const shadow = shadowEngine(engine, { serves: () => false, waiting: () => waiting, textsMax: 2, clock })
  const embedded = shadow.embed(texts.slice(0, 4), { as: 'document' })

  await turns()
  assert.deepEqual(given, [])
  waiting = 0
  clock.advance(10)
  await turns()
  assert.deepEqual(given, [2, 2])
  await embedded

  waiting = 5
  const again = shadow.embed(texts.slice(0, 2), { as: 'document' })
  for (let i = 0; i < 10; i++) {
    await turns()
    clock.advance(10)
  }
  await again
  assert.deepEqual(given, [2, 2, 2])
})

test('once its space answers it has its whole engine, in the midst of a document too', async () => {
  const { engine, given } = watched()
  let serves = false
  const shadow = shadowEngine(engine, { serves: () => serves, waiting: () => 0, textsMax: 2, clock: virtualClock() })

  const embedded = shadow.embed(texts, { as: 'document' })
  serves = true
  await embedded

  assert.deepEqual(given, [2, 5])
})
