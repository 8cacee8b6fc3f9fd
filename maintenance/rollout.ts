import { collectionOf, generationOf, type Place, spaceOfCollection } from '../processors/collections.ts'
import type { Canary, CollectionState, Progress, SpaceModel } from '../schemas/records.ts'
import type { CommonStep, WaitStep } from './step-loop.ts'

/** What is to be reached with a model: its space filled and following, asked by some, asked by all, not asked any more, gone. */
export type RolloutGoal =
  | { readonly to: 'rollout'; readonly target: Target }
  | ({ readonly to: 'canary' } & Pick<Canary, 'percent' | 'by' | 'tenants'>)
  | { readonly to: 'promote' | 'rollback' | 'retire' | 'abort' }

/** A model's space. */
export type Target = Pick<SpaceModel, 'model' | 'version' | 'dimensions'> & { readonly space: string }

/** What is, as `control`, `progress`, `documents` and Qdrant say, of all spaces. Nothing else is remembered. */
export interface RolloutFacts {
  readonly prefix: string
  readonly serving: Place
  /** ms since 1970; null: nobody has written down which one serves. */
  readonly servingSince: number | null
  readonly canary: Canary | null
  readonly spaces: ReadonlyMap<string, SpaceModel>
  readonly states: ReadonlyMap<string, CollectionState>
  /** Our collections that Qdrant has. */
  readonly present: ReadonlySet<string>
  readonly epoch: number
  /** By partition of `documents`: the offset that the next record will get. */
  readonly ends: readonly number[]
  readonly progress: ReadonlyMap<string, ReadonlyMap<number, Progress>>
  readonly now: number
}

export type RolloutStep =
  | CommonStep
  | WaitStep<{ readonly lag?: Lag }>
  /** Writes down which model a space is of. */
  | { readonly do: 'know'; readonly space: string; readonly model: SpaceModel; readonly say: string }
  /** Writes the serving record: who answers, and who answers some. */
  | {
      readonly do: 'serve'
      readonly place: Place
      readonly since: number
      readonly canary: Canary | null
      readonly say: string
    }

/** Positions of `documents` that a collection does not have yet, and all. */
export interface Lag {
  readonly left: number
  readonly positions: number
}

/** The next step towards the goal: pure. Each may be the last before a crash: the same goal asked for again goes on from there. */
export function nextRolloutStep(goal: RolloutGoal, facts: RolloutFacts): RolloutStep {
  const removal = removalStep(facts)
  if (removal !== null) return removal
  switch (goal.to) {
    case 'rollout':
      return rollout(goal.target, facts)
    case 'canary':
      return canary(goal, facts)
    case 'promote':
      return promote(facts)
    case 'rollback':
      return rollback(facts)
    case 'retire':
      return retire(facts)
    case 'abort':
      return abort(facts)
  }
}

function rollout(target: Target, facts: RolloutFacts): RolloutStep {
  const { serving, states, spaces, servingSince, now } = facts
  const name = `${target.model}@${target.version}`
  if (target.space === serving.space)
    return { do: 'done', say: `${name} answers already: its space is ${target.space}` }
  const candidate = candidateIn(facts)
  if (candidate !== null && states.get(candidate)!.space !== target.space)
    return {
      do: 'refuse',
      say: `${describe(candidate, facts)} is on its way; one at a time: freshet models promote, or freshet models abort`,
    }
  if (candidate !== null) return advance(candidate, facts)
  const kept = keptBeside(facts)
  if (kept !== null)
    return states.get(kept)!.space === target.space
      ? {
          do: 'refuse',
          say: `${describe(kept, facts)} served before and is kept: freshet models rollback goes back to it`,
        }
      : {
          do: 'refuse',
          say: `${describe(kept, facts)} is kept beside ${serving.collection}: freshet models retire removes it`,
        }
  const rebuilt = rebuiltBeside(facts)
  if (rebuilt !== null)
    return {
      do: 'refuse',
      say: `${rebuilt} is a rebuild's, beside ${serving.collection}; end that first: freshet rebuild --abort, or --retire`,
    }
  if (!spaces.has(target.space)) {
    const { space, ...model } = target
    return { do: 'know', space, model: { ...model, since: now }, say: `${space} is the space of ${name}` }
  }
  if (servingSince === null) return serve(serving, null, `${serving.collection} serves, as it did`, facts)
  const ungated = release(serving.collection, facts)
  if (ungated !== null) return ungated
  if (states.get(serving.collection)?.state !== 'following')
    return declare(serving.collection, { state: 'following' }, `${serving.collection} serves and is kept`, facts)
  const collection = nextCollection(target.space, facts)
  return declare(
    collection,
    { state: 'filling' },
    `${collection} is filled with what ${name} makes of documents`,
    facts,
  )
}

/** A candidate on its way to be a shadow: equal to `documents`, and following. */
function advance(candidate: string, facts: RolloutFacts): RolloutStep {
  const { state } = facts.states.get(candidate)!
  if (state === 'filling') {
    const lag = lagOf(candidate, facts)
    if (facts.ends.some((end, partition) => end > 0 && progressOf(candidate, partition, facts) === undefined))
      return { do: 'wait', say: `no worker follows all of ${candidate} yet`, lag }
    if (lag.left > LEFT_MAX * facts.ends.length)
      return { do: 'wait', say: `${candidate} is being filled: ${lag.left} positions left`, lag }
    return declare(candidate, { state: 'verifying' }, `${candidate} is filled`, facts)
  }
  if (state === 'verifying') return verify(candidate, facts)
  return {
    do: 'done',
    say: `${describe(candidate, facts)} is equal to documents and follows: freshet models compare, canary or promote`,
  }
}

function canary(
  { percent, by, tenants }: Omit<Extract<RolloutGoal, { to: 'canary' }>, 'to'>,
  facts: RolloutFacts,
): RolloutStep {
  const { serving, now } = facts
  const candidate = candidateIn(facts)
  if (candidate === null) return nothingOnItsWay(facts)
  const { state, space } = facts.states.get(candidate)!
  if (state !== 'verified') return notVerified(candidate, facts)
  const present = facts.canary
  const same =
    present?.collection === candidate &&
    present.percent === percent &&
    present.by === by &&
    present.tenants.join() === tenants.join()
  const whom = [percent > 0 ? `${percent} % by ${by}` : '', tenants.join(', ')]
    .filter((each) => each !== '')
    .join(' and ')
  if (same) return { do: 'done', say: `${describe(candidate, facts)} answers ${whom}` }
  const lag = lagOf(candidate, facts)
  if (lag.left > CANARY_LEFT_MAX)
    return {
      do: 'wait',
      say: `${candidate} is ${lag.left} positions behind; a canary is not to see old documents`,
      lag,
    }
  return serve(
    serving,
    { space, collection: candidate, percent, by, tenants, since: now },
    `${candidate} answers ${whom} from now on`,
    facts,
  )
}

function promote(facts: RolloutFacts): RolloutStep {
  const { serving, states, now } = facts
  const candidate = candidateIn(facts)
  if (candidate === null)
    return states.get(serving.collection)?.state === 'verified' && keptBeside(facts) !== null
      ? {
          do: 'done',
          say: `${describe(serving.collection, facts)} answers; rollback goes back, retire removes the former one`,
        }
      : nothingOnItsWay(facts)
  const { state, since, space } = states.get(candidate)!
  if (state === 'filling') return notVerified(candidate, facts)
  if (state === 'verifying') return verify(candidate, facts)
  const isGated = states.get(serving.collection)?.behind === candidate
  if (now - since > VERIFIED_MS_MAX && !isGated)
    return declare(candidate, { state: 'verifying' }, `${candidate} was compared too long ago`, facts)
  // The canary ends with the switch: whoever is answered by the new one goes on to be.
  return handOver(serving, { space, collection: candidate }, facts)
}

function rollback(facts: RolloutFacts): RolloutStep {
  const { serving, states } = facts
  const candidate = candidateIn(facts)
  if (candidate !== null) {
    if (facts.canary !== null)
      return serve(serving, null, `${serving.collection} answers everybody again, and ${candidate} nobody`, facts)
    return (
      release(serving.collection, facts) ?? {
        do: 'done',
        say: `${describe(serving.collection, facts)} answers everybody; ${candidate} follows: promote, or abort`,
      }
    )
  }
  const former = keptBeside(facts)
  // What was promoted is `verified`; where the one that serves is not, it was gone back to, or served all along.
  if (former === null || states.get(serving.collection)?.state !== 'verified')
    return (
      release(serving.collection, facts) ?? {
        do: 'done',
        say: `${describe(serving.collection, facts)} answers, and no former model is kept`,
      }
    )
  return handOver(serving, { space: states.get(former)!.space, collection: former }, facts)
}

function retire(facts: RolloutFacts): RolloutStep {
  const { serving, servingSince, now, ends } = facts
  const candidate = candidateIn(facts)
  if (candidate !== null)
    return { do: 'refuse', say: `${describe(candidate, facts)} does not serve; freshet models abort removes it` }
  const kept = keptBeside(facts)
  if (kept === null)
    return { do: 'done', say: `${describe(serving.collection, facts)} answers, and no former model is kept` }
  if (servingSince !== null && now - servingSince < MOVED_MS)
    return { do: 'wait', say: `query services are moving over to ${serving.collection}` }
  const owed = ends.findIndex((_, partition) => {
    const own = progressOf(serving.collection, partition, facts)
    return own !== undefined && (own.receipts ?? own.applied) < own.applied
  })
  if (owed !== -1)
    return { do: 'wait', say: `${serving.collection} has not taken over the receipts of partition ${owed} yet` }
  return release(serving.collection, facts) ?? declare(kept, { state: 'retiring' }, `${kept} is to be removed`, facts)
}

function abort(facts: RolloutFacts): RolloutStep {
  const { serving } = facts
  if (facts.canary !== null) return serve(serving, null, `${serving.collection} answers everybody again`, facts)
  const candidate = candidateIn(facts)
  if (candidate !== null) {
    const ungated = release(serving.collection, facts)
    return ungated ?? declare(candidate, { state: 'retiring' }, `${candidate} is to be removed`, facts)
  }
  return { do: 'done', say: `${describe(serving.collection, facts)} answers, and no other model is on its way` }
}

/**
 * From a collection of one space to one of another, so that no reader sees a document go back, whenever it moves: the one that serves is
 * put behind the other, by positions; when it says that it is, and its watermark is no further, the other one serves.
 */
function handOver(from: Place, to: Place, facts: RolloutFacts): RolloutStep {
  const free = release(to.collection, facts)
  if (free !== null) return free
  if (facts.states.get(from.collection)?.behind !== to.collection)
    return declare(
      from.collection,
      { behind: to.collection },
      `${from.collection} stays behind ${to.collection} from now on`,
      facts,
    )
  const open = facts.ends.findIndex((end, partition) => {
    if (end === 0) return false
    const behind = progressOf(from.collection, partition, facts)
    const ahead = progressOf(to.collection, partition, facts)
    if (behind === undefined || ahead === undefined || behind.behind !== to.collection) return true
    return ahead.epoch < behind.epoch || (ahead.epoch === behind.epoch && ahead.low < behind.low)
  })
  if (open !== -1)
    return { do: 'wait', say: `${to.collection} is not ahead of ${from.collection} in partition ${open} yet` }
  return serve(
    to,
    null,
    `${describe(to.collection, facts)} answers everybody from now on, and not ${from.collection}`,
    facts,
  )
}

/** What is to be removed is, whatever else is asked for. */
function removalStep(facts: RolloutFacts): RolloutStep | null {
  for (const [collection, { state, since }] of facts.states) {
    if (state !== 'retiring' && state !== 'removed') continue
    if (facts.now - since < STOPPED_MS) return { do: 'wait', say: `workers let go of ${collection}` }
    const isThere = facts.present.has(collection) || (facts.progress.get(collection)?.size ?? 0) > 0
    if (isThere) return { do: 'remove', collection, say: `removing ${collection}` }
    if (state === 'retiring') return declare(collection, { state: 'removed' }, `${collection} is removed`, facts)
  }
  return null
}

/** The collection of another space that is on its way to serve. One of the same space is a rebuild's. */
export function candidateIn({ serving, states }: Pick<RolloutFacts, 'serving' | 'states'>): string | null {
  const found = [...states].find(([, { space, state }]) => space !== serving.space && isOnItsWay.has(state))
  return found?.[0] ?? null
}

const isOnItsWay: ReadonlySet<string> = new Set(['filling', 'verifying', 'verified'])

/** The collection of the space that answered before. */
const keptBeside = ({ serving, states }: RolloutFacts): string | null =>
  [...states].find(([, { space, state }]) => space !== serving.space && state === 'following')?.[0] ?? null

/** What a rebuild has begun, or keeps, beside the collection that answers. */
const rebuiltBeside = ({ serving, states }: RolloutFacts): string | null =>
  [...states].find(
    ([collection, { space, state }]) =>
      space === serving.space && collection !== serving.collection && (isOnItsWay.has(state) || state === 'following'),
  )?.[0] ?? null

export function lagOf(collection: string, facts: RolloutFacts): Lag {
  const left = facts.ends.map((end, partition) => {
    const { epoch = 0, low = -1 } = progressOf(collection, partition, facts) ?? {}
    return Math.max(0, end - 1 - (epoch === facts.epoch ? low : -1))
  })
  return { left: sum(left), positions: sum(facts.ends) }
}

/** `bge-small-en-v1.5-q@1 (es_…)`. */
export function describe(collection: string, { states, spaces, prefix }: RolloutFacts): string {
  const space = states.get(collection)?.space ?? spaceOfCollection(collection, prefix) ?? collection
  const model = spaces.get(space)
  return model === undefined ? collection : `${model.model}@${model.version} (${collection})`
}

const nothingOnItsWay = (facts: RolloutFacts): RolloutStep => ({
  do: 'refuse',
  say: `${describe(facts.serving.collection, facts)} answers, and no other model is on its way: freshet models rollout NAME@VERSION`,
})

const notVerified = (candidate: string, facts: RolloutFacts): RolloutStep => ({
  do: 'refuse',
  say: `${describe(candidate, facts)} is not filled and compared yet: freshet models rollout goes on with it`,
})

function verify(collection: string, facts: RolloutFacts): RolloutStep {
  const verified = stateOf(collection, { state: 'verified' }, facts)
  return { do: 'verify', collection, verified, say: `comparing ${collection} with documents` }
}

/** `since` moves only where another collection answers. */
function serve(place: Place, canary: Canary | null, say: string, facts: RolloutFacts): RolloutStep {
  const moves = place.collection !== facts.serving.collection || facts.servingSince === null
  return { do: 'serve', place, since: moves ? facts.now : facts.servingSince, canary, say } as RolloutStep
}

/** Waits for nobody any more. */
function release(collection: string, facts: RolloutFacts): RolloutStep | null {
  const behind = facts.states.get(collection)?.behind ?? null
  return behind === null
    ? null
    : declare(collection, { behind: null }, `${collection} does not wait for ${behind} any more`, facts)
}

/** Names are not used twice: what is left of an old one, anywhere, must not meet a new one. */
function nextCollection(space: string, { prefix, states, present, progress }: RolloutFacts): string {
  const scope = { prefix, space }
  const used = [...states.keys(), ...present, ...progress.keys()].flatMap((name) => generationOf(name, scope) ?? [])
  return collectionOf(Math.max(0, ...used) + 1, scope)
}

const declare = (
  collection: string,
  change: Partial<CollectionState>,
  say: string,
  facts: RolloutFacts,
): RolloutStep => ({
  do: 'declare',
  collection,
  state: stateOf(collection, change, facts),
  say,
})

function stateOf(collection: string, change: Partial<CollectionState>, facts: RolloutFacts): CollectionState {
  const space = spaceOfCollection(collection, facts.prefix)!
  const { state = 'following', since = facts.now, behind = null, asOf = null } = facts.states.get(collection) ?? {}
  const entered = change.state !== undefined && change.state !== state ? facts.now : since
  return { space, state, behind, asOf, ...change, since: entered }
}

const progressOf = (collection: string, partition: number, { progress }: RolloutFacts): Progress | undefined =>
  progress.get(collection)?.get(partition)

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)

/** Positions of a partition that may be left when filling ends: what is under way while live traffic goes on. */
const LEFT_MAX = 64
/** Of all partitions: so little is made up for within moments. */
const CANARY_LEFT_MAX = 256
/** A candidate that follows stays equal; after this long it is compared again before it serves. */
const VERIFIED_MS_MAX = 3_600_000
/** After a switch every query service has moved within moments; the collection that they left is there at least this long. */
const MOVED_MS = 5_000
/** What workers have under way in a collection that is to be removed ends within this time. */
const STOPPED_MS = 2_000
