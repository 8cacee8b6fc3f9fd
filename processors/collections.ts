import type { CollectionState, Control } from '../schemas/records.ts'
import type { Scope } from '../streams/topic.ts'

/** What one collection is for. */
export interface Role {
  readonly collection: string
  /** It answers; only its tasks write receipts and dead letters. */
  readonly serving: boolean
  /** It does not apply what this one has not applied yet; null: nobody is to be waited for. */
  readonly behind: string | null
  /** It reads what is old, and must not stand in the way of what is new. */
  readonly filling: boolean
}

/** Of `control`, by key. */
export type ControlRecords = ReadonlyMap<string, Control>

export const servingKey = 'serving'
export const collectionKey = (collection: string): string => `collections/${collection}`

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

/** The first collection has the group and the names of the time when there was one; the others are told apart. */
export function instanceOf(collection: string, scope: Scope): string {
  const generation = generationOf(collection, scope) ?? 1
  return generation === 1 ? '' : `g${generation}`
}

/** What `control` says of each collection of the space, by name. The first needs no record as long as nothing was decided about it. */
export function statesIn(control: ControlRecords, { space }: Scope): Map<string, CollectionState> {
  const states = new Map<string, CollectionState>()
  for (const [key, { collection }] of control)
    if (collection !== null && collection.space === space) states.set(key.slice(collectionKey('').length), collection)
  return states
}

/**
 * The collection of this space that answers: what the serving record says; where it is about another space or not there, the
 * youngest that has served, else the first.
 */
export function servingIn(control: ControlRecords, scope: Scope): string {
  const serving = control.get(servingKey)?.serving
  if (serving?.space === scope.space) return serving.collection
  const served = [...statesIn(control, scope)].filter(([, { state }]) => state === 'following')
  const generations = served.flatMap(([collection]) => generationOf(collection, scope) ?? [])
  return collectionOf(Math.max(1, ...generations), scope)
}

/** The collections that are to be kept up to date, each with its role. */
export function rolesIn(control: ControlRecords, scope: Scope): Map<string, Role> {
  const serving = servingIn(control, scope)
  const states = statesIn(control, scope)
  const isKept = (collection: string): boolean => {
    const state = states.get(collection)?.state
    return collection === serving || (state !== undefined && state !== 'retiring' && state !== 'removed')
  }
  const kept = [...new Set([serving, ...states.keys()])].filter(isKept)
  return new Map(
    kept.map((collection) => {
      const { state = 'following', behind = null } = states.get(collection) ?? {}
      const role: Role = {
        collection,
        serving: collection === serving,
        behind: behind !== null && behind !== collection && isKept(behind) ? behind : null,
        filling: collection !== serving && state === 'filling',
      }
      return [collection, role]
    }),
  )
}
