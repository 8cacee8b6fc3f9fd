import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judge, type Read, type Write } from './judge.ts'

const at = (offset: number) => ({ partition: 0, offset })
const write = (offset: number, content: string | null, more: Partial<Write> = {}): Write => ({
  key: 'a',
  position: at(offset),
  content,
  sentAt: offset,
  ...more,
})
const read = (more: Partial<Read>): Read => ({
  key: 'a',
  what: 'a search',
  after: null,
  asOf: new Map(),
  found: [],
  answeredAt: 100,
  ...more,
})
/** Written, changed, deleted, written again. */
const history = [write(1, 'w1'), write(4, 'w4'), write(6, null), write(9, 'w9')]

const right: Readonly<Record<string, Read>> = {
  'the write itself': read({ after: at(1), found: ['w1'] }),
  'a later one': read({ after: at(1), found: ['w9'] }),
  'nothing, since a later one deleted it': read({ after: at(4), found: [] }),
  'nothing, after a deletion': read({ after: at(6), found: [] }),
  'anything, where nothing is promised': read({ found: ['w1'] }),
  'nothing, where nothing is promised': read({ found: [] }),
  'what it claims': read({ asOf: new Map([[0, 8]]), found: [] }),
}

const wrong: Readonly<Record<string, Read>> = {
  'an older one': read({ after: at(4), found: ['w1'] }),
  'nothing, before a deletion was sent': read({ after: at(4), found: [], answeredAt: 5 }),
  'one that was deleted': read({ after: at(6), found: ['w4'] }),
  'nothing where it is there': read({ after: at(9), found: [] }),
  'two at once': read({ after: at(9), found: ['w9', 'w4'] }),
  'what nobody wrote': read({ after: at(9), found: ['w77'] }),
  'less than it claims': read({ asOf: new Map([[0, 8]]), found: ['w4'] }),
  'less than it claims, with more than was asked': read({ after: at(1), asOf: new Map([[0, 8]]), found: ['w4'] }),
  'what was not sent yet': read({ after: at(1), found: ['w9'], answeredAt: 5 }),
}

for (const [what, one] of Object.entries(right))
  test(`right is ${what}`, () => {
    const { stale } = judge(history, [one])

    assert.deepEqual(stale, [])
  })

for (const [what, one] of Object.entries(wrong))
  test(`stale is ${what}`, () => {
    const { stale } = judge(history, [one])

    assert.equal(stale.length, 1)
  })

test('a write of which it was never told whether Kafka has it may be shown, and need not be', () => {
  const inDoubt = write(0, 'w5', { position: null, sentAt: 5 })

  const { stale, compared, satisfied } = judge(
    [...history, inDoubt],
    [read({ after: at(9), found: ['w5'] }), read({ after: at(9), found: ['w9'] }), read({})],
  )

  assert.deepEqual({ stale, compared, satisfied }, { stale: [], compared: 2, satisfied: 2 })
})
