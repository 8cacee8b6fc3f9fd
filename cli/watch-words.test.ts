import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changesBetween } from '../client/apply-changes.ts'
import type { SearchHit, StandingState } from '../client/client.ts'
import { hitOf } from '../test/sdk/played-service.ts'
import { logOf, screenOf } from './watch-words.ts'

const asOf = { token: 't', staleMs: 0, complete: true, ingestStaleMs: 0 }
const following = { asOf, epoch: 'a', seq: 1, recovered: true, status: 'following', reason: null } as const

function stateOf(
  hits: readonly SearchHit[],
  before: StandingState | null,
  own: Partial<StandingState> = {},
): StandingState {
  return { ...following, hits, changes: changesBetween(before?.hits ?? [], hits), ...own }
}

const [a, b, c] = ['a#0', 'b#0', 'c#0'].map((id) => hitOf(id, 0.5)) as [SearchHit, SearchHit, SearchHit]
const first = stateOf([a, b], null, { recovered: false })
const marks = (lines: readonly string[]) => lines.map((line) => line.slice(0, 11).trimEnd())

test('without a terminal each change is a line, and what stays as it is is not said again', () => {
  const second = stateOf([b, { ...a, text: 'other' }, c], first)
  const third = stateOf([b, c], second)

  assert.deepEqual(marks(logOf(first, null)), ['2 hits, up', '+  1  a#0', '+  2  b#0'])
  assert.deepEqual(marks(logOf(second, first)), ['↑  1  b#0 (', '~  2  a#0 (', '+  3  c#0'])
  assert.match(logOf(second, first)[0]!, /\(was 2\)/)
  assert.deepEqual(marks(logOf(third, second)), ['↑  2  c#0 (', '-  2  a#0'])
  assert.deepEqual(logOf(stateOf([{ ...a, score: 0.4 }, b], first), first), [])
})

test('an interruption is said once, and whether the list went on or began anew', () => {
  const away = stateOf(first.hits, first, { status: 'reconnecting', reason: 'the connection was closed (1012)' })
  const still = { ...away, reason: 'nothing answers' }
  const back = stateOf(first.hits, away)
  const anew = stateOf([c], away, { recovered: false })

  assert.match(logOf(away, first).join(), /^the connection is lost \(the connection was closed \(1012\)\)/)
  assert.deepEqual(logOf(still, away), [])
  const screen = screenOf(still, away, { query: 'mill', rows: 24, colour: false })
  assert.match(screen.at(-1)!, /^the connection is lost \(nothing answers\)/)
  assert.deepEqual(logOf(back, away), ['it goes on where it was: 2 hits, up to date'])
  assert.equal(logOf(anew, away)[0], 'the list begins anew: 1 hit, up to date')
  assert.match(
    logOf(stateOf([a, b], first, { status: 'not_following', reason: 'no index' }), first).join(),
    /do not follow/,
  )
})

test('on a terminal the whole list is shown, no longer than the terminal is, and the text of others steers nothing', () => {
  const many = Array.from({ length: 30 }, (_, i) => hitOf(`h${i}#0`, 1, `\x1b[2Jline\nbreak\u202e${i}`))
  const state = stateOf(many, null)
  const options = { query: 'mill\x07', rows: 10, colour: false }

  const lines = screenOf(state, null, options)

  assert.equal(lines.length, 9)
  assert.deepEqual([lines[0], lines.at(-2)], ['mill', '… 24 more'])
  assert.doesNotMatch(lines.join(''), /[\p{Cc}\u202e]/u)
  const painted = screenOf(stateOf([b], first), first, { ...options, colour: true })
  const [yellow, red] = ['33', '31'].map((code) => `\x1b[${code}m`)
  assert.ok(painted[1]?.startsWith(`${yellow}↑  1`) && painted[2]?.startsWith(`${red}-  1`), painted.join('\n'))
})
