import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SearchHit } from '../../client/client.ts'
import { StandingFollower, type Told } from './standing-follower.ts'

const hit = (hitId: string) => ({ hitId, score: 1, text: hitId }) as unknown as SearchHit
const asOf = { token: '' }
const snapshot = (epoch: string, seq: number, hits: readonly string[]): Told => ({
  type: 'snapshot',
  epoch,
  seq,
  hits: hits.map(hit),
  asOf,
  recovered: false,
})
const entered = (epoch: string, seq: number, hitId: string, rank: number, recovered?: true): Told => ({
  type: 'diff',
  epoch,
  seq,
  ops: [{ op: 'enter', rank, hit: hit(hitId) }],
  asOf,
  ...(recovered && { recovered }),
})
type Step = Told | 'connected' | 'elsewhere'
const faultsOf = (...steps: readonly Step[]) => {
  const follower = new StandingFollower()
  for (const step of steps)
    if (typeof step === 'string') follower.connected({ elsewhere: step === 'elsewhere' })
    else follower.take(step)
  return follower.faults
}

test('whoever follows, goes and comes back has no fault to find in what the protocol allows', () => {
  const faults = faultsOf(
    'connected',
    snapshot('e1', 1, ['a']),
    entered('e1', 2, 'b', 2),
    // Several changes as one.
    entered('e1', 5, 'c', 3),
    'connected',
    { ...entered('e1', 5, 'd', 4, true), ops: [] },
    entered('e1', 6, 'd', 4),
    // The index was set back.
    snapshot('e2', 7, ['a']),
    'elsewhere',
    snapshot('e3', 1, ['a', 'b']),
    'connected',
    // Too long ago.
    snapshot('e3', 90, ['b']),
  )

  assert.deepEqual(faults, [])
})

const wrong: Readonly<Record<string, readonly Step[]>> = {
  'a difference before any snapshot': ['connected', entered('e1', 1, 'a', 1)],
  'a difference of another epoch': ['connected', snapshot('e1', 1, []), entered('e2', 2, 'a', 1)],
  'a difference that goes back': ['connected', snapshot('e1', 4, []), entered('e1', 3, 'a', 1)],
  'a difference that comes twice': ['connected', snapshot('e1', 4, []), entered('e1', 4, 'a', 1)],
  'a difference from another list': ['connected', snapshot('e1', 1, ['a']), entered('e1', 2, 'b', 3)],
  'a silent gap': ['connected', snapshot('e1', 1, []), 'connected', entered('e1', 3, 'a', 1)],
  'going on at a process that cannot know': [
    'connected',
    snapshot('e1', 1, []),
    'elsewhere',
    entered('e1', 3, 'a', 1, true),
  ],
  'a snapshot without a reason': ['connected', snapshot('e1', 1, []), snapshot('e1', 2, ['a'])],
  'a snapshot that does not say so': ['connected', { ...snapshot('e1', 1, []), recovered: true }],
}

for (const [what, steps] of Object.entries(wrong))
  test(`found is ${what}`, () => {
    const faults = faultsOf(...steps)

    assert.equal(faults.length, 1, faults.join('\n'))
  })
