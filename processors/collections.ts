import type { Canary, CollectionState, Control } from '../schemas/records.ts'
import { murmur2 } from '../streams/partitioner.ts'
import type { Scope } from '../streams/topic.ts'

/** What one collection is for. */
export interface Role {
  readonly collection: string
  /** It answers; only its tasks write receipts and dead letters. */
  readonly serving: boolean
  /** It does not apply what this one, perhaps of another space, has not applied yet; null: nobody is to be waited for. */
  readonly behind: string | null
  /** It reads what is old, and must not stand in the way of what is new. */
  readonly filling: boolean
}

/** Where answers come from. */
export interface Place {
  readonly space: string
  readonly collection: string
}

/** Of `control`, by key. */
export type ControlRecords = ReadonlyMap<string, Control>

export const servingKey = 'serving'
export const collectionKey = (collection: string): string => `collections/${collection}`
export const spaceKey = (space: string): string => `spaces/${space}`

/** The collection that a space begins with; later generations are called after it. */
export const firstCollection = ({ prefix, space }: Scope): string => `${prefix}${space}`

/** 1 for the first; null for what is not a collection of this space. */
export function generationOf(collection: string, scope: Scope): number | null {
  const first = firstCollection(scope)
  if (collection === first) return 1
  const suffix = collection.startsWith(`${first}.g`) ? collection.slice(first.length + 2) : ''
  return /^[1-9]\d{0,8}$/.test(suffix) && Number(suffix) > 1 ? Number(suffix) : null
}

export const collectionOf = (generation: number, scope: Scope): string =>
  generation === 1 ? firstCollection(scope) : `${firstCollection(scope)}.g${generation}`

/** The space of a collection of ours, of any generation; null for what is not ours. */
export function spaceOfCollection(collection: string, prefix: string): string | null {
  const space = /^es_[0-9a-z]+/.exec(collection.slice(prefix.length))?.[0] ?? null
  if (space === null || !collection.startsWith(prefix)) return null
  return generationOf(collection, { prefix, space }) === null ? null : space
}

/** The first collection has the group and the names of the time when there was one; the others are told apart. */
export function instanceOf(collection: string, scope: Scope): string {
  const generation = generationOf(collection, scope) ?? 1
  return generation === 1 ? '' : `g${generation}`
}

/** What `control` says of each collection of the space, by name. The first needs no record as long as nothing was decided about it. */
export function statesIn(control: ControlRecords, { space }: Pick<Scope, 'space'>): Map<string, CollectionState> {
  return new Map([...allStatesIn(control)].filter(([, state]) => state.space === space))
}

/** Of all spaces. */
export function allStatesIn(control: ControlRecords): Map<string, CollectionState> {
  const states = new Map<string, CollectionState>()
  for (const [key, { collection }] of control)
    if (collection !== null) states.set(key.slice(collectionKey('').length), collection)
  return states
}

/**
 * The collection that answers: what the serving record says. As long as there is none, it is one of the space that the platform began with,
 * or, where that is not known either, of the one that is asked about: the youngest that has served, else the first.
 */
export function servingIn(control: ControlRecords, { prefix, space: asked }: Scope): Place {
  const serving = control.get(servingKey)?.serving ?? null
  if (serving !== null) return { space: serving.space, collection: serving.collection }
  const space = firstSpaceIn(control) ?? asked
  const scope: Scope = { prefix, space }
  const served = [...statesIn(control, scope)].filter(([, { state }]) => state === 'following')
  const generations = served.flatMap(([collection]) => generationOf(collection, scope) ?? [])
  return { space, collection: collectionOf(Math.max(1, ...generations), scope) }
}

/** The space that the platform began with; null where no worker has said so yet. */
export function firstSpaceIn(control: ControlRecords): string | null {
  const known = [...control].flatMap(([key, { space }]) =>
    space === null ? [] : [{ space: key.slice(spaceKey('').length), since: space.since }],
  )
  return known.sort((a, b) => a.since - b.since || (a.space < b.space ? -1 : 1))[0]?.space ?? null
}

/** Who asks, as far as it decides which collection answers. */
export interface Asker {
  readonly tenant: string
  readonly subject: string
}

/** The collection that answers this one: for some, while there is a canary, another than for the rest. */
export function placeFor(control: ControlRecords, scope: Scope, asker: Asker): Place {
  const canary = control.get(servingKey)?.serving?.canary ?? null
  if (canary === null || !isIn(canary, asker)) return servingIn(control, scope)
  return { space: canary.space, collection: canary.collection }
}

/** Decided by who it is and nothing else, so that nobody goes back and forth. */
function isIn({ collection, percent, by, tenants }: Canary, { tenant, subject }: Asker): boolean {
  if (tenants.includes(tenant)) return true
  const who = by === 'subject' ? `${tenant}/${subject}` : tenant
  return (murmur2(Buffer.from(`${collection}/${who}`)) >>> 0) % SHARES < (percent / 100) * SHARES
}

const SHARES = 10_000

/** The spaces that are to be kept: of the collection that answers, and of all that are kept beside it. */
export function spacesKeptIn(control: ControlRecords, scope: Scope): Set<string> {
  const kept = [...allStatesIn(control).values()].filter(isKeptIn).map(({ space }) => space)
  return new Set([servingIn(control, scope).space, ...kept])
}

/** The collections of the space that are to be kept up to date, each with its role. */
export function rolesIn(control: ControlRecords, scope: Scope): Map<string, Role> {
  const serving = servingIn(control, scope)
  const all = allStatesIn(control)
  const isKept = (collection: string): boolean => {
    const state = all.get(collection)
    return collection === serving.collection || (state !== undefined && isKeptIn(state))
  }
  const own = [...statesIn(control, scope).keys()]
  const kept = [...new Set(serving.space === scope.space ? [serving.collection, ...own] : own)].filter(isKept)
  return new Map(
    kept.map((collection) => {
      const { state = 'following', behind = null } = all.get(collection) ?? {}
      const serves = collection === serving.collection
      const role: Role = {
        collection,
        serving: serves,
        behind: behind !== null && behind !== collection && isKept(behind) ? behind : null,
        filling: !serves && state === 'filling',
      }
      return [collection, role]
    }),
  )
}

/** Of a space that is kept: the collection that stands for it, which is the one that answers, if it is of this space, else the last that was begun. */
export function standsFor(control: ControlRecords, scope: Scope): string {
  const roles = [...rolesIn(control, scope).values()]
  const found = roles.find(({ serving }) => serving) ?? roles.toSorted(byGeneration(scope)).at(-1)
  return found?.collection ?? firstCollection(scope)
}

const byGeneration = (scope: Scope) => (a: Role, b: Role) =>
  (generationOf(a.collection, scope) ?? 0) - (generationOf(b.collection, scope) ?? 0)

/**
 * Whether a space tells what it rejects: not while it is only on its way. One that is handed over to does already, and the one that
 * served before still does, so that what the one has passed in silence the other has told; what both tell is one dead letter.
 */
export function tellsRejections(control: ControlRecords, scope: Scope): boolean {
  if (servingIn(control, scope).space === scope.space) return true
  const own = statesIn(control, scope)
  const isHandedOverTo = [...allStatesIn(control).values()].some(({ behind }) => behind !== null && own.has(behind))
  return isHandedOverTo || [...own.values()].some(({ state }) => state === 'following')
}

const isKeptIn = ({ state }: CollectionState): boolean => state !== 'retiring' && state !== 'removed'
