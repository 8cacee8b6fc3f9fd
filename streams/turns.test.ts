import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { virtualClock } from './clock.ts'
import { Turns } from './turns.ts'

const endless = () => new Promise<void>(() => {})
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

test('a batch that waits for a record that goes alone does not begin beside the next one', async () => {
  const turns = new Turns()
  const endFirst = await turns.take(endless)
  const second = turns.take(endless)
  let began = false
  void turns.share(endless).then(() => {
    began = true
  })

  endFirst()
  const endSecond = await second
  await settled()
  const beside = began
  endSecond()
  await settled()

  assert.deepEqual([beside, began], [false, true])
})

test('whoever waits longer than its patience goes, and whoever goes earlier leaves no wait behind', async () => {
  const clock = virtualClock()
  const turns = new Turns()
  const patience = (signal: AbortSignal) => clock.wait(10_000, signal)
  await turns.share(patience)
  const alone = turns.take(patience)
  await settled()

  clock.advance(10_000)
  const end = await alone
  const shared = turns.share(patience)
  await settled()
  const waits = clock.nextAt
  end()
  await shared

  assert.ok(waits !== null)
  assert.equal(clock.nextAt, null)
})

test('in any order of asking and ending, nobody goes beside whoever goes alone, and all come to their turn', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ alone: fc.boolean(), moments: fc.nat(4) }), { maxLength: 12 }),
      async (asks) => {
        const turns = new Turns()
        const present = { alone: 0, together: 0 }
        let broken = 0
        const runs = asks.map(async ({ alone, moments }, at) => {
          for (let i = 0; i < (at * 3) % 5; i++) await null
          const kind = alone ? 'alone' : 'together'
          const end = await (alone ? turns.take(endless) : turns.share(endless))
          present[kind]++
          if (present.alone > 1 || (present.alone === 1 && present.together > 0)) broken++
          for (let i = 0; i < moments; i++) await null
          present[kind]--
          end()
        })

        await Promise.all(runs)

        assert.equal(broken, 0)
      },
    ),
  )
})
