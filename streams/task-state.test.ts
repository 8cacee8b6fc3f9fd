import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { StoredRecord } from './broker.ts'
import { TaskState } from './task-state.ts'

const record = (offset: number, key: string, bytes = 10): StoredRecord => ({
  topic: 't',
  partition: 0,
  offset,
  timestamp: 0,
  key: Buffer.from(key),
  value: Buffer.alloc(bytes),
  headers: {},
})
const fetched = (records: StoredRecord[], next: number, from = 0) => ({
  topic: 't',
  partition: 0,
  records,
  from,
  next,
  end: next,
})
const bounds = { recordsMax: 10, bytesMax: 10_000 }

test('a record whose key is under way waits, and others overtake it', () => {
  const state = new TaskState(0)
  state.receive(fetched([record(0, 'a'), record(1, 'a'), record(2, 'b')], 3))

  const first = state.take({ ...bounds, recordsMax: 1 })
  const second = state.take(bounds)

  assert.deepEqual(
    first?.records.map(({ offset }) => offset),
    [0],
  )
  assert.deepEqual(
    second?.records.map(({ offset }) => offset),
    [2],
  )
  assert.equal(state.take(bounds), null)
})

test('the watermark passes an offset only when everything before it is finished', () => {
  const state = new TaskState(5)
  state.receive(fetched([record(5, 'a'), record(6, 'b'), record(7, 'c')], 8))
  const [a, b, c] = [1, 1, 1].map(() => state.take({ ...bounds, recordsMax: 1 })!.records)

  state.finish(c!)
  const afterC = state.low
  state.finish(a!)
  const afterA = state.low
  state.finish(b!)

  assert.deepEqual([afterC, afterA, state.low], [4, 5, 7])
})

test('offsets that hold no record move the watermark', () => {
  const state = new TaskState(0)

  state.receive(fetched([record(3, 'a')], 9))
  const before = state.low
  state.finish(state.take(bounds)!.records)

  assert.equal(before, 2)
  assert.equal(state.low, 8)
})

test('a fetch that comes again is not taken again', () => {
  const state = new TaskState(0)
  state.receive(fetched([record(0, 'a')], 1))
  state.receive(fetched([record(0, 'a'), record(1, 'b')], 2))

  const taken = state.take(bounds)

  assert.deepEqual(
    taken?.records.map(({ offset }) => offset),
    [0, 1],
  )
})

test('a record above the bytes of a batch makes a batch of its own', () => {
  const state = new TaskState(0)
  state.receive(fetched([record(0, 'a', 50_000), record(1, 'b')], 2))

  const taken = state.take(bounds)

  assert.deepEqual(
    taken?.records.map(({ offset }) => offset),
    [0],
  )
})

test('the first that is not admitted ends the batch, and what is behind it waits too', () => {
  const state = new TaskState(0)
  state.receive(fetched([record(0, 'a'), record(1, 'b'), record(2, 'c')], 3))
  const asked: number[] = []

  const first = state.take(bounds, ({ offset }) => asked.push(offset) > 0 && offset !== 1)
  const refused = state.take(bounds, ({ offset }) => asked.push(offset) === 0)
  const rest = state.take(bounds)

  assert.deepEqual([first?.records.map(({ offset }) => offset), first?.through], [[0], 0])
  assert.deepEqual(asked, [0, 1, 1])
  assert.equal(refused, null)
  assert.deepEqual(
    rest?.records.map(({ offset }) => offset),
    [1, 2],
  )
})

test('a fetch that begins above the expected offset is refused: what lies before it was never seen', () => {
  const state = new TaskState(5)

  assert.throws(() => state.receive(fetched([record(9, 'a')], 10, 8)), /went on at 8, and 5 was expected/)
  assert.equal(state.low, 4)
})

test('in any order of taking and finishing: nothing twice, nothing lost, keys in order, the watermark true', () => {
  const steps = fc.array(
    fc.oneof(fc.record({ take: fc.integer({ min: 1, max: 4 }) }), fc.record({ finish: fc.nat(20) })),
    { maxLength: 80 },
  )
  const keys = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 30 })
  fc.assert(
    fc.property(keys, fc.array(fc.integer({ min: 1, max: 3 })), steps, (names, gaps, actions) => {
      const state = new TaskState(0)
      let offset = 0
      const records = names.map((key, i) => {
        offset += gaps[i] ?? 1
        return record(offset, key)
      })
      state.receive(fetched(records, offset + 1))
      const order: StoredRecord[] = []
      const under: (readonly StoredRecord[])[] = []
      const done = new Set<number>()
      const finish = (i: number) => {
        const [batch] = under.splice(i % under.length, 1)
        state.finish(batch!)
        for (const each of batch!) done.add(each.offset)
        const open = records.find((each) => !done.has(each.offset))

        assert.equal(state.low, open ? open.offset - 1 : offset)
      }

      for (const action of actions) {
        if ('take' in action) {
          const taken = state.take({ recordsMax: action.take, bytesMax: 1_000 })
          if (taken === null) continue
          const busy = new Set(under.flat().map(({ key }) => String(key)))
          assert.ok(taken.records.every(({ key }) => !busy.has(String(key))))
          under.push(taken.records)
          order.push(...taken.records)
        } else if (under.length > 0) finish(action.finish)
      }
      for (;;) {
        while (under.length > 0) finish(0)
        const taken = state.take(bounds)
        if (taken === null) break
        under.push(taken.records)
        order.push(...taken.records)
      }

      assert.equal(order.length, records.length)
      assert.equal(new Set(order).size, records.length)
      for (const [, ofKey] of Map.groupBy(order, ({ key }) => String(key))) {
        assert.deepEqual(
          ofKey.map((each) => each.offset),
          ofKey.map((each) => each.offset).sort((a, b) => a - b),
        )
      }
      assert.equal(state.low, offset)
      assert.equal(state.bytes, 0)
    }),
  )
})
