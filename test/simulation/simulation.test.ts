import assert from 'node:assert/strict'
import { test } from 'node:test'
import { canaries } from './canaries.ts'
import { material } from './material.ts'
import { runSeeds } from './seeds.ts'
import { shrink } from './shrink.ts'
import { simulate } from './simulation.ts'
import { storyOf } from './story.ts'

const shared = await material()

/** Long runs: `npm run simulate -- --seeds 100000`. */
const SEEDS = 250
/** A planted bug that takes longer than this to be found would not be found in time. */
const CANARY_SEEDS_MAX = 1_000

test('after any faults the index equals the latest documents, and no promise was broken on the way', async () => {
  const row = await runSeeds({ from: 1, seeds: SEEDS }, shared)

  const { totals, broken } = row
  const told = broken.map(({ seed, message }) => `${message}\n  npm run simulate -- --seed ${seed} --trace`)
  assert.deepEqual(told, [])
  // What was never done was not survived.
  for (const name of [
    'crashes',
    'freezes',
    'stops',
    'lostMemberships',
    'revocations',
    'restores',
    'compactions',
  ] as const)
    assert.ok(totals[name] > 20, `${name}: only ${totals[name]} in ${row.seeds} seeds`)
  assert.ok(totals.lostCalls > 100 && totals.repeats > 20 && totals.deadLetters > 20, JSON.stringify(totals))
})

test('the same seed is the same story, event by event', async () => {
  const trace = async () => {
    const lines: string[] = []
    const { hash } = await simulate(storyOf(7), shared, { told: (line) => lines.push(line) })
    return { hash, lines }
  }

  const first = await trace()
  await simulate(storyOf(8), shared)
  const second = await trace()

  assert.deepEqual(second, first)
  assert.ok(first.lines.length > 100, `only ${first.lines.length} events`)
  assert.notEqual((await simulate(storyOf(8), shared)).hash, first.hash)
})

test('what a seed comes to does not depend on what ran before it', async () => {
  const hashes = async (seeds: readonly number[]) => {
    const found = new Map<number, number>()
    for (const seed of seeds) found.set(seed, (await simulate(storyOf(seed), shared)).hash)
    return seeds.toSorted((a, b) => a - b).map((seed) => found.get(seed))
  }
  const seeds = Array.from({ length: 30 }, (_, i) => i + 1)

  const upwards = await hashes(seeds)
  const downwards = await hashes(seeds.toReversed())

  assert.deepEqual(downwards, upwards)
  assert.equal(new Set(upwards).size, seeds.length)
})

for (const canary of canaries) {
  test(`a planted bug is found: ${canary.about} (${canary.name})`, async () => {
    const row = { from: 1, seeds: CANARY_SEEDS_MAX, canary: canary.name, stopAtFirst: true }

    const { broken } = await runSeeds(row, shared)

    assert.equal(broken.length, 1, `${CANARY_SEEDS_MAX} seeds did not find it`)
  })
}

test('a story that breaks a promise is made small', async () => {
  const planted = canaries.find(({ name }) => name === 'no-compare-and-set')!
  const { broken } = await runSeeds(
    { from: 1, seeds: CANARY_SEEDS_MAX, canary: planted.name, stopAtFirst: true },
    shared,
  )
  const { seed, promise } = broken[0]!

  const small = await shrink(storyOf(seed), promise, shared, planted)

  const again = await simulate(small, shared, { planted })
  assert.equal(again.broken?.promise, promise)
  assert.ok(small.events.length < storyOf(seed).events.length * 0.7, `${small.events.length} events are left`)
})
