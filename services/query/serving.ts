import type { SearchIndex } from '../../connectors/qdrant/search.ts'
import type { Engine } from '../../engine/embedder.ts'
import { type Asker, allStatesIn, type Place, placeFor, servingIn } from '../../processors/collections.ts'
import type { Scope } from '../../streams/topic.ts'
import type { ControlFollower } from '../control-follower.ts'

/** A collection that answers, from one switch to the next: whoever began with it compares it with `of()` to see that it still does. */
export interface Serving extends Place {
  readonly index: SearchIndex
  /** Of its space. */
  readonly engine: Engine
}

export interface ServingFollower {
  /** What answers this one; null: whoever is in no canary. */
  of(asker: Asker | null): Serving
  /** One of another space than this, that was compared with `documents` and may answer instead: to be compared with; null: there is none. */
  beside(serving: Serving): Serving | null
  /** Each collection that answers somebody. */
  all(): readonly Serving[]
  /** Resolves when all that is in `control` at the time of the call is followed. */
  sync(): Promise<void>
  /** Told when another collection answers somebody from now on. */
  switched(listener: () => void): void
}

/**
 * Follows what `control` says, and moves over in one step: as soon as `open` can, which gives null for a place whose space has no engine here
 * yet. Until then what answered before goes on answering. `open` may have more to give when `opened` calls back.
 */
export function followServing(
  control: Pick<ControlFollower, 'entries' | 'changed' | 'sync'>,
  scope: Scope,
  open: (place: Place) => Pick<Serving, 'index' | 'engine'> | null,
  opened: (listener: () => void) => void,
): ServingFollower {
  const listeners: (() => void)[] = []
  const openPlace = (place: Place): Serving | null => {
    const parts = open(place)
    return parts === null ? null : { ...place, ...parts }
  }
  let records = new Map(control.entries())
  const wanted = servingIn(records, scope)
  const first = openPlace(wanted)
  if (first === null) throw new Error(`there is no engine for ${wanted.space}`)
  let serving: Serving = first
  let canary: Serving | null = null
  let besides: Serving | null = null

  const look = (): void => {
    records = new Map(control.entries())
    const before = [serving, canary]
    serving = following(serving, servingIn(records, scope)) ?? serving
    const named = records.get('serving')?.serving?.canary ?? null
    // Whoever is in a canary that cannot be asked is answered like all others.
    canary = named === null ? null : following(canary, named)
    if (serving !== before[0] || canary !== before[1]) for (const listener of listeners) listener()
  }
  const following = (present: Serving | null, { space, collection }: Place): Serving | null => {
    if (present?.collection === collection) return present
    if (serving.collection === collection) return serving
    if (canary?.collection === collection) return canary
    return openPlace({ space, collection })
  }
  control.changed(look)
  opened(look)
  look()

  return {
    of(asker) {
      if (asker === null || canary === null) return serving
      return placeFor(records, scope, asker).collection === canary.collection ? canary : serving
    },
    beside({ space }) {
      const isReady = new Set(['verified', 'following'])
      for (const [collection, state] of allStatesIn(records)) {
        if (state.space === space || !isReady.has(state.state)) continue
        if (besides?.collection !== collection) besides = following(null, { space: state.space, collection })
        return besides
      }
      return null
    },
    all: () => [...new Set(canary === null ? [serving] : [serving, canary])],
    sync: control.sync,
    switched: (listener) => void listeners.push(listener),
  }
}
