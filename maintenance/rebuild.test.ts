import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CollectionState, Progress } from '../schemas/records.ts'
import { type Facts, type Goal, nextStep, type Step } from './rebuild.ts'

const scope = { prefix: '', space: 'es' }
const MINUTE_MS = 60_000

/** Where a platform is, and what workers and query services make of it in a while. */
class World {
  serving = 'es'
  servingSince: number | null = null
  now = 1_000 * MINUTE_MS
  readonly states = new Map<string, CollectionState>()
  readonly present = new Set(['es'])
  readonly progress = new Map<string, Map<number, Progress>>()
  readonly ends = [40, 0, 7]
  /** What was done, in order. */
  readonly done: string[] = []
  /** Differences that the next comparisons find. */
  differences: number[] = []

  constructor() {
    this.passes()
  }

  get facts(): Facts {
    return { ...this, scope }
  }

  /** Workers follow what is to be kept, and say so. */
  passes(ms = 10_000): void {
    this.now += ms
    for (const collection of new Set([this.serving, ...this.states.keys()])) {
      const state = this.states.get(collection)
      if (state?.state === 'retiring' || state?.state === 'removed') continue
      this.present.add(collection)
      for (const [partition, end] of this.ends.entries())
        if (end > 0) this.publishes(collection, partition, { behind: state?.behind ?? null })
    }
  }

  publishes(collection: string, partition: number, more: Partial<Progress> = {}): void {
    const own = this.progress.get(collection) ?? new Map<number, Progress>()
    const at = this.ends[partition]! - 1
    const before = own.get(partition)?.receipts ?? -1
    own.set(partition, {
      collection,
      partition,
      epoch: 1,
      low: at,
      applied: at,
      at: this.now,
      state: 'following',
      receipts: collection === this.serving ? at : before,
      behind: null,
      rejected: null,
      written: 1,
      ...more,
    })
    this.progress.set(collection, own)
  }

  /** As the loop does. Answers false when the goal is reached, or refused. */
  takes(step: Step): boolean {
    if (step.do === 'wait') this.passes()
    else this.done.push(nameOf(step))
    if (step.do === 'declare') this.states.set(step.collection, step.state)
    if (step.do === 'serve') {
      this.serving = step.collection
      this.servingSince = this.now
    }
    if (step.do === 'remove') {
      this.present.delete(step.collection)
      this.progress.delete(step.collection)
    }
    if (step.do === 'verify' && (this.differences.shift() ?? 0) === 0) this.states.set(step.collection, step.verified)
    return step.do !== 'done' && step.do !== 'refuse'
  }

  reaches(goal: Goal, stepsMax = 100): boolean {
    for (let i = 0; i < stepsMax; i++) if (!this.takes(nextStep(goal, this.facts))) return true
    return false
  }
}

const nameOf = (step: Step): string => {
  if (step.do === 'declare') {
    const { state, behind } = step.state
    return `${step.collection} ${state}${behind === null ? '' : ` behind ${behind}`}`
  }
  return 'collection' in step ? `${step.do} ${step.collection}` : step.do
}

const rebuilt = (): World => {
  const world = new World()
  assert.ok(world.reaches('rebuild'))
  return world
}

test('a new collection is filled, compared, got ahead of the one that serves, and then it serves', () => {
  const world = rebuilt()

  assert.deepEqual(world.done, [
    'es following',
    'es.g2 filling',
    'es.g2 verifying',
    'verify es.g2',
    'es following behind es.g2',
    'serve es.g2',
    'done',
  ])
})

test('what differs is compared again until nothing does', () => {
  const world = new World()
  world.differences = [3, 1]

  world.reaches('rebuild')

  assert.equal(world.done.filter((each) => each === 'verify es.g2').length, 3)
  assert.equal(world.serving, 'es.g2')
})

test('a rebuild does not begin while another model is on its way', () => {
  assert.equal(nextStep('rebuild', { ...new World().facts, rolledOut: 'es_other' }).do, 'refuse')
})

test('a rebuild that is done stays done when it is asked for again', () => {
  const world = rebuilt()
  const before = world.done.length

  world.reaches('rebuild')

  assert.deepEqual(world.done.slice(before), ['done'])
})

test('a collection does not serve before the one that does stays behind it, in every partition', () => {
  const world = new World()
  while (!world.done.includes('es following behind es.g2')) world.takes(nextStep('rebuild', world.facts))
  const ahead = () => nextStep('rebuild', world.facts).do

  world.passes()
  assert.equal(ahead(), 'serve')
  world.publishes('es', 2, { behind: null })
  assert.equal(ahead(), 'wait')
  world.passes()
  world.publishes('es.g2', 0, { applied: 38 })
  assert.equal(ahead(), 'wait')
  world.passes()
  world.publishes('es.g2', 0, { low: 38 })
  assert.equal(ahead(), 'wait')
  world.passes()
  world.progress.get('es.g2')!.delete(2)
  assert.equal(ahead(), 'wait')
})

test('a collection that nobody follows is not taken for a filled one', () => {
  const world = new World()
  world.takes(nextStep('rebuild', world.facts))
  world.takes(nextStep('rebuild', world.facts))
  for (const [partition] of world.ends.entries()) world.ends[partition] = 3

  assert.equal(nextStep('rebuild', world.facts).do, 'wait')
})

test('a comparison of long ago is made again before the switch', () => {
  const world = new World()
  while (world.states.get('es.g2')?.state !== 'verified') world.takes(nextStep('rebuild', world.facts))
  world.passes(61 * MINUTE_MS)

  world.reaches('rebuild')

  assert.equal(world.done.filter((each) => each === 'verify es.g2').length, 2)
  assert.equal(world.serving, 'es.g2')
})

for (const goal of ['abort', 'rollback', 'retire'] as const) {
  test(`${goal} leaves a platform that is whole, after whichever step of a rebuild it is asked for`, () => {
    const steps = rebuilt().done.length
    for (let count = 0; count < steps; count++) {
      const world = new World()
      while (world.done.length < count) world.takes(nextStep('rebuild', world.facts))
      const switched = world.serving === 'es.g2'

      assert.ok(world.reaches(goal), `after ${count} steps`)

      const { serving, states, present } = world
      assert.equal(serving, switched && goal !== 'rollback' ? 'es.g2' : 'es', `after ${count} steps`)
      assert.ok(present.has(serving))
      if (goal === 'abort') {
        assert.equal(states.get(serving)?.behind ?? null, null, `after ${count} steps`)
        assert.deepEqual([...present], switched ? ['es', 'es.g2'] : ['es'], `after ${count} steps`)
      }
      if (goal === 'retire' && switched) assert.deepEqual([...present], ['es.g2'])
    }
  })
}

test('going back is the same switch the other way, and is not undone by asking again', () => {
  const world = rebuilt()
  const before = world.done.length

  world.reaches('rollback')
  world.reaches('rollback')

  assert.deepEqual(world.done.slice(before), [
    'es.g2 following',
    'es following',
    'es.g2 following behind es',
    'serve es',
    'done',
    'done',
  ])
})

test('a collection that was gone back from serves again only after it was made anew', () => {
  const world = rebuilt()
  world.reaches('rollback')

  assert.equal(nextStep('rebuild', world.facts).do, 'refuse')
  world.reaches('retire')
  world.reaches('rebuild')

  assert.equal(world.serving, 'es.g3')
})

test('no name is used twice, also where only Qdrant or the watermarks remember it', () => {
  const world = new World()
  world.reaches('rebuild', 3)
  world.reaches('abort')
  const next = () => {
    const step = nextStep('rebuild', world.facts)
    return step.do === 'declare' ? step.collection : step.do
  }

  assert.equal(next(), 'es.g3')
  world.present.add('es.g7')
  assert.equal(next(), 'es.g8')
  world.publishes('es.g9', 0)
  assert.equal(next(), 'es.g10')
})

test('a collection is not removed before its receipts are taken over and query services have moved', () => {
  const world = rebuilt()
  const step = () => nextStep('retire', world.facts).do

  world.publishes('es.g2', 0, { receipts: 38 })
  world.now = world.servingSince! + 60_000
  assert.equal(step(), 'wait')
  world.passes(0)
  world.now = world.servingSince! + 1_000
  assert.equal(step(), 'wait')
  world.now = world.servingSince! + 60_000
  assert.equal(step(), 'declare')
})

test('what a worker that had not heard of it left of a removed collection is removed, whatever is asked for', () => {
  const world = rebuilt()
  world.reaches('retire')
  world.present.add('es')
  world.publishes('es', 0)

  world.reaches('abort')

  assert.deepEqual(world.done.slice(-2), ['remove es', 'done'])
  assert.deepEqual([...world.present], ['es.g2'])
})
