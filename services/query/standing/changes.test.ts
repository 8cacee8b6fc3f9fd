import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Progress } from '../../../schemas/records.ts'
import type { Broker, StoredRecord, TailOptions } from '../../../streams/broker.ts'
import { virtualClock } from '../../../streams/clock.ts'
import { Fatal, Retry } from '../../../streams/errors.ts'
import { followChanges } from './changes.ts'

/** `vectors` of one partition, whose end and tail a test moves. */
async function followed(end = 0) {
  const clock = virtualClock()
  const tails: TailOptions[] = []
  const told: string[] = []
  const state = { end, isGone: false, failure: null as Error | null }
  const broker = {
    async tail(options: TailOptions) {
      if (state.isGone) throw new Retry('the topic is gone')
      tails.push(options)
      return { close: async () => {} }
    },
    admin: { offsets: async () => [{ partition: 0, start: 0, end: state.end }] },
  } as unknown as Broker
  const heard = {
    wanted: () => true,
    changed: ({ key }: { key: string }) => void told.push(`changed ${key}`),
    moved() {},
    unknown: () => void told.push('unknown'),
    replaced: () => void told.push('replaced'),
  }
  const scope = { prefix: '', space: 'es' }
  const failed = (error: Error) => {
    state.failure = error
  }
  const changes = await followChanges({ broker, serde: {} as never, scope }, 1, heard, failed, clock)
  const settle = async () => {
    for (let i = 0; i < 5; i++) await turn()
  }
  return {
    clock,
    told,
    tails,
    state,
    changes,
    async write(key: string, offset: number) {
      const record = {
        topic: 'vectors.es',
        partition: 0,
        offset,
        key: Buffer.from(key),
        value: null,
        timestamp: 0,
        headers: {},
      }
      const records = [record as StoredRecord]
      tails
        .at(-1)!
        .fetched({ topic: 'vectors.es', partition: 0, records, from: offset, next: offset + 1, end: offset + 1 })
      await settle()
    },
    async apply(applied: number) {
      changes.progressed({ partition: 0, applied } as Progress)
      await settle()
    },
    async wait(ms: number) {
      clock.advance(ms)
      await settle()
    },
    async fail(error: Error) {
      tails.at(-1)!.failed(error)
      await settle()
    },
  }
}

test('a change is told when the index has it, not when it is written', async () => {
  const { write, apply, told } = await followed()

  await apply(-1)
  await write('acme/a', 0)
  await write('acme/b', 1)
  const before = [...told]
  await apply(0)
  const first = [...told]
  await apply(1)
  await write('acme/late', 1)

  assert.deepEqual(before, [])
  assert.deepEqual(first, ['changed acme/a'])
  assert.deepEqual(told, ['changed acme/a', 'changed acme/b', 'changed acme/late'])
})

test('what was written before anybody listened is told as unknown, until the index has passed it', async () => {
  const { write, apply, told } = await followed(3)

  await apply(0)
  await apply(2)
  await write('acme/a', 3)
  await apply(3)

  assert.deepEqual(told, ['unknown', 'unknown', 'changed acme/a'])
})

test('an index that was set back is another one, and what it applies again is not known', async () => {
  const { write, apply, told } = await followed()

  await write('acme/a', 0)
  await write('acme/b', 1)
  await apply(1)
  await apply(0)
  await apply(1)

  assert.deepEqual(told.slice(2), ['replaced', 'unknown'])
})

test('a topic that is deleted and created again is followed anew, as soon as it is there, and nothing else ends', async () => {
  const { write, apply, fail, wait, told, tails, state } = await followed()
  await apply(-1)
  await write('acme/a', 0)

  state.isGone = true
  await fail(new Fatal('vectors.es/0 ends at 0, but 7 was read before'))
  await wait(1_000)
  const meanwhile = tails.length
  state.isGone = false
  await wait(1_000)
  await apply(-1)
  await write('acme/new', 0)
  await apply(0)

  assert.deepEqual([meanwhile, tails.length, state.failure], [1, 2, null])
  assert.deepEqual(told, ['replaced', 'changed acme/new'])
})

test('a follower that is refused ends with the reason', async () => {
  const { fail, wait, state, changes, tails } = await followed()
  Object.defineProperty(state, 'isGone', {
    get() {
      throw new Fatal('not allowed')
    },
  })

  await fail(new Fatal('not allowed'))
  await wait(1_000)

  assert.match(String(state.failure), /standing queries cannot follow vectors/)
  assert.equal(tails.length, 1)
  await changes.close()
})
