import { collectionOf, generationOf } from '../processors/collections.ts'
import type { CollectionState, Progress } from '../schemas/records.ts'
import type { Scope } from '../streams/topic.ts'
import type { CommonStep, WaitStep } from './step-loop.ts'

/** What is to be reached: a new collection serves; the one before serves again; what does not serve is removed; a candidate is removed. */
export type Goal = 'rebuild' | 'rollback' | 'retire' | 'abort'

/** What is, as `control`, `progress`, `vectors` and Qdrant say. Nothing else is remembered, so that whoever comes next goes on from here. */
export interface Facts {
  readonly scope: Scope
  readonly serving: string
  /** ms since 1970; null: from the beginning. */
  readonly servingSince: number | null
  readonly states: ReadonlyMap<string, CollectionState>
  /** The collections of this space that Qdrant has. */
  readonly present: ReadonlySet<string>
  /** By partition of `vectors.<space>`: the offset that the next record will get. */
  readonly ends: readonly number[]
  /** What each collection has published last, by collection and partition. */
  readonly progress: ReadonlyMap<string, ReadonlyMap<number, Progress>>
  /** A collection of another space that is on its way to serve. */
  readonly rolledOut?: string | null
  readonly now: number
}

export type Step =
  | CommonStep
  | WaitStep<{ readonly filling?: Filling }>
  /** Writes the serving record: the switch. */
  | { readonly do: 'serve'; readonly collection: string; readonly say: string }

/** Records of `vectors` that a candidate has applied, and all. */
export interface Filling {
  readonly applied: number
  readonly records: number
}

/**
 * The next step towards the goal: pure. Each step changes what the next call sees, and each may be the last before a crash:
 * the same goal asked for again goes on from there.
 */
export function nextStep(goal: Goal, facts: Facts): Step {
  return removalStep(facts) ?? steps[goal](facts)
}

const steps: Readonly<Record<Goal, (facts: Facts) => Step>> = { rebuild, rollback, retire, abort }

function rebuild(facts: Facts): Step {
  const { rolledOut = null } = facts
  if (rolledOut !== null)
    return {
      do: 'refuse',
      say: `${rolledOut} of another model is on its way; end that first: freshet models promote, or freshet models abort`,
    }
  const candidate = candidateIn(facts)
  if (candidate !== null) return advance(candidate, facts)
  const { serving, states } = facts
  const kept = keptBeside(serving, facts)
  const state = states.get(serving)
  if (kept !== null && state?.state === 'verified')
    return { do: 'done', say: `${serving} serves; ${kept} is kept: --rollback goes back to it, --retire removes it` }
  if (kept !== null)
    return {
      do: 'refuse',
      say: `${serving} serves and ${kept} is kept beside it; remove that first: freshet rebuild --retire`,
    }
  const ungated = release(serving, facts)
  if (ungated !== null) return ungated
  if (state?.state !== 'following')
    return declare(serving, { state: 'following' }, `${serving} serves and is kept until it is retired`, facts)
  const collection = collectionOf(nextGeneration(facts), facts.scope)
  return declare(collection, { state: 'filling' }, `${collection} is to take the place of ${serving}`, facts)
}

/** A candidate on its way: filled, verified, handed over to, switched to. */
function advance(candidate: string, facts: Facts): Step {
  const { state, since } = facts.states.get(candidate)!
  if (state === 'filling') {
    const filling = fillingOf(candidate, facts)
    const left = filling.records - filling.applied
    if (facts.ends.some((end, partition) => end > 0 && progressOf(candidate, partition, facts) === undefined))
      return { do: 'wait', say: `no worker follows all of ${candidate} yet`, filling }
    if (left > LEFT_MAX * facts.ends.length)
      return { do: 'wait', say: `${candidate} is being filled: ${left} records left`, filling }
    return declare(candidate, { state: 'verifying' }, `${candidate} is filled`, facts)
  }
  if (state === 'verifying') {
    const verified = stateOf(candidate, { state: 'verified' }, facts)
    return { do: 'verify', collection: candidate, verified, say: `comparing ${candidate} with documents` }
  }
  if (facts.now - since > VERIFIED_MS_MAX)
    return declare(candidate, { state: 'verifying' }, `${candidate} was compared too long ago`, facts)
  return handOver(facts.serving, candidate, facts)
}

function rollback(facts: Facts): Step {
  const candidate = candidateIn(facts)
  if (candidate !== null)
    return { do: 'refuse', say: `${candidate} does not serve yet; remove it: freshet rebuild --abort` }
  const { serving, scope } = facts
  const older = [...facts.states].flatMap(([collection, { state }]) => {
    const isOlder = generationOf(collection, scope)! < generationOf(serving, scope)!
    return isOlder && (state === 'following' || state === 'verified') ? [collection] : []
  })
  const target = older.at(-1)
  if (target === undefined)
    return release(serving, facts) ?? { do: 'done', say: `${serving} serves; no older collection is kept` }
  // So that it is no candidate again once it does not serve.
  if (facts.states.get(serving)?.state !== 'following')
    return declare(serving, { state: 'following' }, `${serving} is kept when ${target} serves again`, facts)
  return handOver(serving, target, facts)
}

function retire(facts: Facts): Step {
  const candidate = candidateIn(facts)
  if (candidate !== null)
    return { do: 'refuse', say: `${candidate} does not serve yet; remove it: freshet rebuild --abort` }
  const { serving, servingSince, now, ends } = facts
  const kept = keptBeside(serving, facts)
  if (kept === null) return { do: 'done', say: `${serving} serves, and no other collection is kept` }
  if (servingSince !== null && now - servingSince < MOVED_MS)
    return { do: 'wait', say: `query services are moving over to ${serving}` }
  const owed = ends.findIndex(
    (_, partition) => receiptsOf(serving, partition, facts) < receiptsOf(kept, partition, facts),
  )
  if (owed !== -1) return { do: 'wait', say: `${serving} has not taken over the receipts of partition ${owed} yet` }
  return release(serving, facts) ?? declare(kept, { state: 'retiring' }, `${kept} is to be removed`, facts)
}

function abort(facts: Facts): Step {
  const { serving } = facts
  const ungated = release(serving, facts)
  if (ungated !== null) return ungated
  const candidate = candidateIn(facts)
  if (candidate === null) return { do: 'done', say: `${serving} serves, and no other is on its way` }
  return declare(candidate, { state: 'retiring' }, `${candidate} is to be removed`, facts)
}

/** What is to be removed is, whatever else is asked for. */
function removalStep(facts: Facts): Step | null {
  for (const [collection, { state, since }] of facts.states) {
    if (state !== 'retiring' && state !== 'removed') continue
    if (facts.now - since < STOPPED_MS) return { do: 'wait', say: `workers let go of ${collection}` }
    const isThere = facts.present.has(collection) || (facts.progress.get(collection)?.size ?? 0) > 0
    if (isThere) return { do: 'remove', collection, say: `removing ${collection}` }
    if (state === 'retiring') return declare(collection, { state: 'removed' }, `${collection} is removed`, facts)
  }
  return null
}

/**
 * From one collection to another, so that no reader sees a document go back, whenever it moves: first the one that serves is
 * told to stay behind the other; when it does, and the other is ahead, which it then stays, that one serves.
 */
function handOver(from: string, to: string, facts: Facts): Step {
  const free = release(to, facts)
  if (free !== null) return free
  if (facts.states.get(from)?.behind !== to)
    return declare(from, { behind: to }, `${from} stays behind ${to} from now on`, facts)
  const open = facts.ends.findIndex((end, partition) => {
    // Where nothing was ever written, nothing can go back.
    if (end === 0) return false
    const behind = progressOf(from, partition, facts)
    const ahead = progressOf(to, partition, facts)
    if (behind === undefined || ahead === undefined || behind.behind !== to) return true
    return ahead.applied < behind.applied || comparePlaces(ahead, behind) < 0
  })
  if (open !== -1) return { do: 'wait', say: `${to} is not ahead of ${from} in partition ${open} yet` }
  return { do: 'serve', collection: to, say: `${to} serves from now on, and not ${from}` }
}

/** Waits for nobody any more. */
function release(collection: string, facts: Facts): Step | null {
  const behind = facts.states.get(collection)?.behind ?? null
  if (behind === null) return null
  return declare(collection, { behind: null }, `${collection} does not wait for ${behind} any more`, facts)
}

/** The one collection that is on its way to serve. */
export function candidateIn({ serving, states }: Facts): string | null {
  const isOnItsWay = new Set(['filling', 'verifying', 'verified'])
  const found = [...states].find(([collection, { state }]) => collection !== serving && isOnItsWay.has(state))
  return found?.[0] ?? null
}

const keptBeside = (serving: string, { states }: Facts): string | null =>
  [...states].find(([collection, { state }]) => collection !== serving && state === 'following')?.[0] ?? null

export function fillingOf(collection: string, facts: Facts): Filling {
  const applied = facts.ends.map((end, partition) =>
    Math.min(end, (progressOf(collection, partition, facts)?.applied ?? -1) + 1),
  )
  return { applied: sum(applied), records: sum(facts.ends) }
}

const progressOf = (collection: string, partition: number, { progress }: Facts): Progress | undefined =>
  progress.get(collection)?.get(partition)

function receiptsOf(collection: string, partition: number, facts: Facts): number {
  const progress = progressOf(collection, partition, facts)
  return progress === undefined ? -1 : (progress.receipts ?? progress.applied)
}

/** Names are not used twice: what is left of an old one, anywhere, must not meet a new one. */
function nextGeneration({ scope, serving, states, present, progress }: Facts): number {
  const names = [serving, ...states.keys(), ...present, ...progress.keys()]
  return 1 + Math.max(...names.map((name) => generationOf(name, scope) ?? 1))
}

const declare = (collection: string, change: Partial<CollectionState>, say: string, facts: Facts): Step => ({
  do: 'declare',
  collection,
  state: stateOf(collection, change, facts),
  say,
})

function stateOf(collection: string, change: Partial<CollectionState>, facts: Facts): CollectionState {
  const { state = 'following', since = facts.now, behind = null, asOf = null } = facts.states.get(collection) ?? {}
  const entered = change.state !== undefined && change.state !== state ? facts.now : since
  return { space: facts.scope.space, state, behind, asOf, ...change, since: entered }
}

const comparePlaces = (a: Progress, b: Progress): number => a.epoch - b.epoch || a.low - b.low

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)

/** Records of a partition that may be left when filling ends: what is under way while live traffic goes on. */
const LEFT_MAX = 64
/** A candidate that follows stays equal; after this long it is compared again before it serves. */
const VERIFIED_MS_MAX = 3_600_000
/** After a switch every query service has moved within moments; the collection that they left is there at least this long. */
const MOVED_MS = 5_000
/** What workers have under way in a collection that is to be removed ends within this time. */
const STOPPED_MS = 2_000
