import type { SearchIndex } from '../../connectors/qdrant/search.ts'
import { servingIn } from '../../processors/collections.ts'
import { control } from '../../schemas/topics.ts'
import { openTable } from '../../streams/table.ts'
import type { Platform } from '../platform.ts'

/** The collection that answers, from one switch to the next: whoever began with it compares it with `now()` to see that it still is. */
export interface Serving {
  readonly collection: string
  readonly index: SearchIndex
}

export interface ServingFollower {
  now(): Serving
  /** Resolves when all that is in `control` at the time of the call is followed. */
  sync(): Promise<void>
  close(): Promise<void>
}

/** Follows what `control` says, and moves over in one step. */
export async function followServing(
  { broker, serde, scope }: Platform,
  open: (collection: string) => SearchIndex,
  switched: (collection: string) => void,
  failed: (error: Error) => void,
): Promise<ServingFollower> {
  let serving: Serving | null = null
  const look = (): void => {
    const collection = servingIn(new Map(table.entries()), scope)
    if (serving?.collection === collection) return
    const first = serving === null
    serving = { collection, index: open(collection) }
    if (!first) switched(collection)
  }
  const table = await openTable(control, {
    broker,
    serde,
    scope,
    failed,
    // What was decided before this start is read whole, before anything follows from it.
    changed: () => serving !== null && look(),
  })
  await table.sync()
  look()
  return { now: () => serving!, sync: () => table.sync(), close: () => table.close() }
}
