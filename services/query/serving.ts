import type { SearchIndex } from '../../connectors/qdrant/search.ts'
import { servingIn } from '../../processors/collections.ts'
import type { Scope } from '../../streams/topic.ts'
import type { ControlFollower } from '../control-follower.ts'

/** The collection that answers, from one switch to the next: whoever began with it compares it with `now()` to see that it still is. */
export interface Serving {
  readonly collection: string
  readonly index: SearchIndex
}

export interface ServingFollower {
  now(): Serving
  /** Resolves when all that is in `control` at the time of the call is followed. */
  sync(): Promise<void>
}

/** Follows what `control` says, and moves over in one step. */
export function followServing(
  control: ControlFollower,
  scope: Scope,
  open: (collection: string) => SearchIndex,
  switched: (collection: string) => void,
): ServingFollower {
  const present = () => servingIn(new Map(control.entries()), scope).collection
  const first = present()
  let serving: Serving = { collection: first, index: open(first) }
  control.changed(() => {
    const collection = present()
    if (serving.collection === collection) return
    serving = { collection, index: open(collection) }
    switched(collection)
  })
  return { now: () => serving, sync: control.sync }
}
