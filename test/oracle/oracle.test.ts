import assert from 'node:assert/strict'
import { test } from 'node:test'
import { random } from '../random.ts'
import { checkAnswers } from './answers.ts'
import { compactedWorld, compactionMutations } from './compactions.ts'
import { type History, historyOf, type Revision } from './history.ts'
import { judge } from './judge.ts'
import { mutations } from './mutations.ts'
import { replayedWorld, replayMutations } from './replays.ts'
import { rightWorld } from './right-world.ts'
import { type Invariant, invariants, type World } from './world.ts'

const seed = Number(process.env.FRESHET_SEED ?? 20261124)
const rounds = 100
/** I8 is a time, and measured by whoever heals. */
const shown = invariants.filter((invariant): invariant is Exclude<Invariant, 'I8'> => invariant !== 'I8')

const right = await rightWorld(seed)

test(`the oracle finds nothing in a world where everything is right (seed ${seed})`, async () => {
  const worlds = [right, await rightWorld(seed + 1), await rightWorld(seed + 2)]

  const verdicts = await Promise.all(worlds.map(({ world }) => judge(world, shown)))

  for (const { findings, garbage, accounts } of verdicts) {
    assert.deepEqual(findings, [])
    assert.deepEqual(garbage, [])
    for (const { offsets, outcomes, holes } of accounts)
      assert.equal(
        Object.values(outcomes).reduce((sum, count) => sum + count, holes),
        offsets,
      )
  }
})

test('a watermark that was overtaken and came late is no finding', async () => {
  const { progress } = right.world
  const late = progress.findLast(({ partition, low }) =>
    progress.some((each) => each.partition === partition && each.low > low),
  )!

  const { findings } = await judge({ ...right.world, progress: [...progress, late] }, shown)

  assert.deepEqual(findings, [])
})

test('an invariant for which nothing was compared is a finding', async () => {
  const blind = { ...right.world, answers: [], resources: [] }

  const { findings } = await judge(blind, shown)

  assert.deepEqual(
    findings.map(({ invariant, what }) => `${invariant} ${what}`),
    ['I3 nothing was compared', 'I4 nothing was compared', 'I9 nothing was compared'],
  )
})

test(`a record that was rejected, could be read later and was replayed is one record that came to one end (seed ${seed})`, async () => {
  const next = random(seed)
  const worlds = Array.from({ length: rounds }, () => replayedWorld(right, next))

  const verdicts = await Promise.all(worlds.map((world) => judge(world, shown)))

  for (const { findings, accounts } of verdicts) {
    assert.deepEqual(findings, [])
    assert.ok(accounts.every(({ outcomes }) => Object.keys(outcomes).every((outcome) => !outcome.includes(' and '))))
  }
})

test('an index that is ahead of what it claims serves unchanged content under the revision that brought it', () => {
  const key = 'acme/a'
  const revision = (offset: number, text: string | null): Revision => ({
    key,
    partition: 0,
    offset,
    derived: text === null ? null : ({ chunks: [{ text }] } as unknown as Revision['derived']),
    rejected: null,
    content: text ?? 'deleted',
  })
  const found = (last: string) => {
    const revisions = new Map([[key, [revision(5, 'same'), revision(7, null), revision(9, last)]]])
    const hits = [{ key, offset: 5, ordinal: 0, text: 'same' }]
    const answer = { reader: 'r', tenant: 'acme', atMs: 0, lows: new Map([[0, 7]]), hits, whole: [key], deleted: [] }
    const world = { answers: [answer], restores: [] } as unknown as World
    return checkAnswers(world, { revisions } as unknown as History).findings.map(({ invariant }) => invariant)
  }

  assert.deepEqual(found('same'), [])
  assert.deepEqual(found('another'), ['I4'])
})

test(`a revision that was removed before it was indexed needs no receipt once it is replaced, and only then (seed ${seed})`, async () => {
  const { receipts } = right.world
  const places = [...new Set(receipts.map(({ partition, offset }) => `${partition}/${offset}`))]
  const without = (place: string) => receipts.filter(({ partition, offset }) => `${partition}/${offset}` !== place)

  const verdicts = await Promise.all(
    places.map((place) => judge({ ...right.world, receipts: without(place), removed: new Set([place]) }, [])),
  )

  const history = await historyOf(right.world)
  const latest = [...history.revisions.values()].map((own) => own.at(-1)!)
  const missed = new Set(latest.map(({ partition, offset }) => `${partition}/${offset}`))
  for (const [i, place] of places.entries()) {
    const found = [...new Set(verdicts[i]!.findings.map(({ invariant }) => invariant))]
    assert.deepEqual(found, missed.has(place) ? ['I5', 'I7'] : [], place)
  }
  assert.ok(missed.size > 0 && places.length > missed.size)
})

test('after a restore a document may be served as it was before, under the revision that had the same content', () => {
  const key = 'acme/a'
  const revision = (offset: number, text: string): Revision => ({
    key,
    partition: 0,
    offset,
    derived: { chunks: [{ text }] } as unknown as Revision['derived'],
    rejected: null,
    content: text,
  })
  const found = (last: string, restores: World['restores']) => {
    const revisions = new Map([[key, [revision(5, 'same'), revision(7, 'another'), revision(9, last)]]])
    const answerOf = (offset: number, text: string, atMs: number) => ({
      reader: 'r',
      tenant: 'acme',
      atMs,
      lows: null,
      hits: [{ key, offset, ordinal: 0, text, epoch: 1 }],
      whole: [key],
      deleted: [],
    })
    const world = { answers: [answerOf(9, last, 1), answerOf(5, 'same', 9)], restores } as unknown as World
    return checkAnswers(world, { revisions } as unknown as History).findings.map(({ invariant }) => invariant)
  }
  const restored = [{ fromMs: 3, toMs: 6 }]

  assert.deepEqual(found('same', restored), [])
  assert.deepEqual(found('same', []), ['I3'])
  assert.deepEqual(found('last', restored), ['I3'])
})

test(`deletions that were compacted away before anybody saw them need no receipt, and what they deleted is gone (seed ${seed})`, async () => {
  const world = compactedWorld(right)

  const { findings, accounts } = await judge(world, shown)

  assert.deepEqual(findings, [])
  const counted = accounts.map(({ outcomes }) => outcomes['compacted away unseen'] ?? 0)
  assert.equal(
    counted.reduce((sum, count) => sum + count, 0),
    world.compacted!.length,
  )
  assert.ok(world.compacted!.some(({ value }) => value === null))
})

for (const { name, invariant, mutate } of [...mutations, ...replayMutations, ...compactionMutations]) {
  test(`the oracle finds ${name}, ${rounds} times out of ${rounds} (seed ${seed})`, async () => {
    const next = random(seed)
    let found = 0

    for (let round = 0; round < rounds; round++) {
      const { findings } = await judge(mutate(right, next), [])
      if (findings.some((finding) => finding.invariant === invariant)) found++
    }

    assert.equal(found, rounds)
  })
}
