import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Canary, CollectionState, Progress, SpaceModel } from '../schemas/records.ts'
import { nextRolloutStep, type RolloutFacts, type RolloutGoal, type RolloutStep, type Target } from './rollout.ts'

const MINUTE_MS = 60_000
const young: Target = { space: 'es_bb', model: 'young', version: '1', dimensions: 3 }
const other: Target = { space: 'es_cc', model: 'other', version: '2', dimensions: 3 }
const toYoung: RolloutGoal = { to: 'rollout', target: young }
const some: RolloutGoal = { to: 'canary', percent: 5, by: 'tenant', tenants: [] }

/** Where a platform is, and what workers make of it in a while. */
class World {
  prefix = ''
  serving = { space: 'es_aa', collection: 'es_aa' }
  servingSince: number | null = null
  canary: Canary | null = null
  epoch = 1
  now = 1_000 * MINUTE_MS
  readonly spaces = new Map<string, SpaceModel>([['es_aa', { model: 'old', version: '1', dimensions: 3, since: 0 }]])
  readonly states = new Map<string, CollectionState>()
  readonly present = new Set(['es_aa'])
  readonly progress = new Map<string, Map<number, Progress>>()
  readonly ends = [400, 0, 70]
  readonly done: string[] = []
  /** Every place that has answered, in order. */
  readonly answered = ['es_aa']
  differences: number[] = []

  constructor() {
    this.passes()
  }

  get facts(): RolloutFacts {
    return this
  }

  passes(ms = 10_000): void {
    this.now += ms
    for (const collection of new Set([this.serving.collection, ...this.states.keys()])) {
      const state = this.states.get(collection)
      if (state?.state === 'retiring' || state?.state === 'removed') continue
      this.present.add(collection)
      for (const [partition, end] of this.ends.entries())
        if (end > 0) this.publishes(collection, partition, { behind: state?.behind ?? null })
    }
  }

  publishes(collection: string, partition: number, more: Partial<Progress> = {}): void {
    const own = this.progress.get(collection) ?? new Map<number, Progress>()
    // The logs of two spaces have other offsets.
    const applied = this.ends[partition]! * (collection.startsWith('es_aa') ? 2 : 1)
    own.set(partition, {
      collection,
      partition,
      epoch: 1,
      low: this.ends[partition]! - 1,
      applied,
      at: this.now,
      state: 'following',
      receipts: applied,
      behind: null,
      rejected: null,
      written: 1,
      ...more,
    })
    this.progress.set(collection, own)
  }

  takes(step: RolloutStep): boolean {
    if (step.do === 'wait') this.passes()
    else this.done.push(nameOf(step))
    if (step.do === 'know') this.spaces.set(step.space, step.model)
    if (step.do === 'declare') this.states.set(step.collection, step.state)
    if (step.do === 'serve') {
      this.serving = step.place as { space: string; collection: string }
      this.servingSince = step.since
      this.canary = step.canary
      this.answered.push(step.place.collection)
      assert.ok(this.present.has(step.place.collection), `${step.place.collection} is not there`)
    }
    if (step.do === 'remove') {
      assert.notEqual(step.collection, this.serving.collection)
      assert.notEqual(step.collection, this.canary?.collection)
      this.present.delete(step.collection)
      this.progress.delete(step.collection)
    }
    if (step.do === 'verify' && (this.differences.shift() ?? 0) === 0) this.states.set(step.collection, step.verified)
    return step.do !== 'done' && step.do !== 'refuse'
  }

  /** Answers what it ended with. */
  reaches(goal: RolloutGoal): 'done' | 'refuse' {
    for (let i = 0; i < 200; i++) {
      const step = nextRolloutStep(goal, this.facts)
      if (!this.takes(step)) return step.do as 'done' | 'refuse'
    }
    throw new Error(`${goal.to} comes to no end: ${this.done.slice(-5)}`)
  }
}

const nameOf = (step: RolloutStep): string => {
  if (step.do === 'declare') {
    const { state, behind } = step.state
    return `${step.collection} ${state}${behind === null ? '' : ` behind ${behind}`}`
  }
  if (step.do === 'serve')
    return `serve ${step.place.collection}${step.canary === null ? '' : `, some ${step.canary.collection}`}`
  if (step.do === 'know') return `know ${step.space}`
  return 'collection' in step ? `${step.do} ${step.collection}` : step.do
}

const after = (...goals: RolloutGoal[]): World => {
  const world = new World()
  for (const goal of goals) assert.equal(world.reaches(goal), 'done', goal.to)
  world.done.length = 0
  return world
}

test('a model is made known, its collection is filled, compared, and follows; it answers nobody', () => {
  const world = new World()

  world.reaches(toYoung)

  assert.deepEqual(world.done, [
    'know es_bb',
    'serve es_aa',
    'es_aa following',
    'es_bb filling',
    'es_bb verifying',
    'verify es_bb',
    'done',
  ])
  assert.equal(world.serving.collection, 'es_aa')
})

test('it answers some, then everybody, without those few going back between', () => {
  const world = after(toYoung)

  world.reaches(some)
  world.reaches({ to: 'promote' })

  assert.deepEqual(world.done, [
    'serve es_aa, some es_bb',
    'done',
    'es_aa following behind es_bb',
    'serve es_bb',
    'done',
  ])
  assert.equal(world.canary, null)
})

test('a collection is filled when it has the positions of documents, whatever its own log holds', () => {
  const world = new World()
  while (world.states.get('es_bb')?.state !== 'filling') world.takes(nextRolloutStep(toYoung, world.facts))
  const next = () => nextRolloutStep(toYoung, world.facts).do

  assert.equal(next(), 'wait')
  world.passes()
  world.publishes('es_bb', 0, { low: 10, applied: 10 })
  assert.equal(next(), 'wait')
  world.publishes('es_bb', 0, { epoch: 0 })
  assert.equal(next(), 'wait')
  world.passes()
  assert.equal(next(), 'declare')
})

test('a model does not answer everybody before the one that does says that it stays behind it, and is no further', () => {
  const world = after(toYoung)
  while (!world.done.includes('es_aa following behind es_bb'))
    world.takes(nextRolloutStep({ to: 'promote' }, world.facts))
  const next = () => nextRolloutStep({ to: 'promote' }, world.facts).do

  assert.equal(next(), 'wait')
  world.passes()
  assert.equal(next(), 'serve')
  world.publishes('es_aa', 2, { behind: null })
  assert.equal(next(), 'wait')
  world.passes()
  world.publishes('es_bb', 0, { low: 398 })
  assert.equal(next(), 'wait')
  world.passes()
  world.progress.get('es_bb')!.delete(2)
  assert.equal(next(), 'wait')
})

test('a canary waits until its model is near', () => {
  const world = after(toYoung)
  world.publishes('es_bb', 0, { low: 10 })

  assert.equal(nextRolloutStep(some, world.facts).do, 'wait')
})

test('a model that is not compared yet answers nobody', () => {
  const world = new World()
  while (world.states.get('es_bb')?.state !== 'filling') world.takes(nextRolloutStep(toYoung, world.facts))

  assert.equal(nextRolloutStep(some, world.facts).do, 'refuse')
  assert.equal(nextRolloutStep({ to: 'promote' }, world.facts).do, 'refuse')
  assert.equal(nextRolloutStep({ to: 'promote' }, after().facts).do, 'refuse')
})

test('a comparison of long ago is made again before the switch', () => {
  const world = after(toYoung)
  world.passes(61 * MINUTE_MS)

  world.reaches({ to: 'promote' })

  assert.deepEqual(world.done.slice(0, 2), ['es_bb verifying', 'verify es_bb'])
  assert.equal(world.serving.collection, 'es_bb')
})

test('going back is the same switch the other way, is not undone by asking again, and can be taken back', () => {
  const world = after(toYoung, { to: 'promote' })

  world.reaches({ to: 'rollback' })
  world.reaches({ to: 'rollback' })

  assert.deepEqual(world.done, ['es_aa following', 'es_bb verified behind es_aa', 'serve es_aa', 'done', 'done'])
  assert.equal(world.reaches({ to: 'promote' }), 'done')
  assert.equal(world.serving.collection, 'es_bb')
})

test('the rollback of a canary lets the former model answer everybody, and the new one follow', () => {
  const world = after(toYoung, some)

  world.reaches({ to: 'rollback' })

  assert.deepEqual(world.done, ['serve es_aa', 'done'])
  assert.equal(world.states.get('es_bb')!.state, 'verified')
})

test('one model at a time is on its way, and none beside a former one', () => {
  assert.equal(nextRolloutStep({ to: 'rollout', target: other }, after(toYoung).facts).do, 'refuse')
  assert.equal(nextRolloutStep({ to: 'rollout', target: other }, after(toYoung, { to: 'promote' }).facts).do, 'refuse')
  const world = after(toYoung, { to: 'promote' }, { to: 'retire' })

  assert.equal(world.reaches({ to: 'rollout', target: other }), 'done')
  assert.equal(world.states.get('es_cc')!.state, 'verified')
})

test('a rollout waits for a rebuild of the model that answers, and takes nothing of it for its own', () => {
  const world = after()
  const state = { space: 'es_aa', state: 'verified' as const, since: world.now, behind: null, asOf: null }
  world.states.set('es_aa.g2', state)
  const next = (goal: RolloutGoal) => nextRolloutStep(goal, world.facts).do

  assert.equal(next(toYoung), 'refuse')
  assert.equal(next({ to: 'promote' }), 'refuse')
  assert.equal(next({ to: 'abort' }), 'done')
  world.states.set('es_aa.g2', { ...state, state: 'following' })
  assert.equal(next(toYoung), 'refuse')
  assert.equal(next({ to: 'rollback' }), 'done')
  assert.equal(next({ to: 'retire' }), 'done')
})

test('a model that was retired is rolled out again under a name that was not used, and can be gone back from', () => {
  const world = after(toYoung, { to: 'promote' }, { to: 'retire' })
  const old: RolloutGoal = { to: 'rollout', target: { space: 'es_aa', model: 'old', version: '1', dimensions: 3 } }

  for (const goal of [old, { to: 'promote' }] as const) world.reaches(goal)
  assert.equal(world.serving.collection, 'es_aa.g2')
  world.reaches({ to: 'rollback' })

  assert.equal(world.serving.collection, 'es_bb')
})

test('a former model is not removed before receipts are taken over and query services have moved', () => {
  const world = after(toYoung, { to: 'promote' })
  const step = () => nextRolloutStep({ to: 'retire' }, world.facts).do

  world.now = world.servingSince! + MINUTE_MS
  world.publishes('es_bb', 0, { receipts: 3 })
  assert.equal(step(), 'wait')
  world.passes(0)
  world.now = world.servingSince! + 1_000
  assert.equal(step(), 'wait')
  world.now = world.servingSince! + MINUTE_MS
  assert.equal(step(), 'declare')
})

const whole: readonly RolloutGoal[] = [toYoung, some, { to: 'promote' }]
const lengthOf = (): number => {
  const world = new World()
  for (const goal of whole) world.reaches(goal)
  return world.done.length
}
/** The rollout with canary and promotion, ended after so many steps. */
const endedAfter = (count: number): World => {
  const world = new World()
  for (const goal of whole) while (world.done.length < count && world.takes(nextRolloutStep(goal, world.facts)));
  return world
}

for (const goal of ['abort', 'rollback', 'retire'] as const) {
  test(`${goal} leaves a platform that is whole, after whichever step of a rollout it is asked for`, () => {
    const steps = lengthOf()
    for (let count = 0; count < steps; count++) {
      const world = endedAfter(count)
      const wasPromoted = world.serving.collection === 'es_bb'

      const outcome = world.reaches({ to: goal })

      const { serving, states, present, canary } = world
      const what = `after ${count} steps: ${outcome}`
      assert.equal(serving.collection, wasPromoted && goal !== 'rollback' ? 'es_bb' : 'es_aa', what)
      assert.ok(present.has(serving.collection), what)
      if (goal !== 'retire') assert.equal(canary, null, what)
      if (goal === 'abort') {
        assert.equal(states.get(serving.collection)?.behind ?? null, null, what)
        assert.deepEqual([...present], wasPromoted ? ['es_aa', 'es_bb'] : ['es_aa'], what)
      }
      if (goal === 'retire' && wasPromoted) assert.deepEqual([...present], ['es_bb'], what)
    }
    assert.ok(steps > 10, `${steps}`)
  })
}

test('a rollout that was ended after whichever step goes on to where it would have come', () => {
  const steps = lengthOf()
  for (let count = 0; count < steps; count++) {
    const world = endedAfter(count)
    const promoted = world.serving.collection === 'es_bb'

    for (const goal of promoted ? ([{ to: 'promote' }] as const) : whole)
      assert.equal(world.reaches(goal), 'done', `${goal.to} after ${count} steps`)

    assert.equal(world.serving.collection, 'es_bb', `after ${count} steps`)
    assert.equal(world.done.filter((each) => each === 'serve es_bb').length, 1)
  }
})

test('what a worker that had not heard of it left of a removed collection is removed, whatever is asked for', () => {
  const world = after(toYoung, { to: 'promote' }, { to: 'retire' })
  world.present.add('es_aa')

  world.reaches({ to: 'abort' })

  assert.deepEqual(world.done, ['remove es_aa', 'done'])
})
