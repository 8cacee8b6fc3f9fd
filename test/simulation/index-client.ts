import type { MemoryIndex } from '../../processors/memory-index.ts'
import type { KnownVectors, VectorIndex } from '../../processors/vector-index.ts'
import { Retry, StartOver } from '../../streams/errors.ts'
import type { Network } from './network.ts'
import type { Actor, Cuttable } from './scheduler.ts'

export interface IndexWorld {
  readonly store: MemoryIndex
  readonly network: Network
  /** Grows when the index is replaced: a connection made before is broken. It is also the number of the connections to it. */
  incarnation: number
  /** Called after each element of a request was applied. */
  changed(): void
}

/** A process's own connection to the index: what `connectors/qdrant` is to Qdrant. */
export function indexClient(world: IndexWorld, process: Actor): VectorIndex & KnownVectors {
  const { network } = world
  const read = <T>(what: string, effect: () => Promise<T>): Promise<T> => {
    // Tried again by the client, which connects anew and says nothing of it.
    const failure = () => new Retry(`${what}: the index did not answer`, { retryAfterMs: 500 })
    return network.call(process, { to: 'index', what, effect, failure, repeats: true })
  }

  const write = (what: string, connection: number, steps: () => readonly (() => void)[]): Promise<void> => {
    const failure = () => new StartOver(`it is not known whether the index did: ${what}`)
    if (connection !== world.incarnation) {
      return network.scheduler.turn(process, `${what}: the connection is broken`).then(() => Promise.reject(failure()))
    }
    const effect = async (part: Cuttable) => {
      for (const [i, step] of steps().entries()) {
        if (i > 0) await network.scheduler.turn(network.world, `${what}: element ${i}`, { part })
        step()
        world.changed()
      }
    }
    return network.call(process, { to: 'index', what, effect, failure })
  }

  return {
    collection: world.store.collection,
    space: world.store.space,
    read: (keys, partition) =>
      read(`read ${keys.join(' ')} marker ${partition}`, async () => ({
        ...(await world.store.read(keys, partition)),
        connection: world.incarnation,
      })),
    apply: (writes, connection) =>
      write(
        `apply ${writes.map(({ manifest: { key, fence } }) => `${key}=${fence.offset}`).join(' ')}`,
        connection,
        () => world.store.applySteps(writes),
      ),
    settle: (left, marker, expected, connection) =>
      write(
        `settle ${left.map(({ key, fence }) => `-${key}=${fence.offset}`).join(' ')} marker ${marker.partition}=${marker.applied}`,
        connection,
        () => world.store.settleSteps(left, marker, expected),
      ),
    manifests: (keys) =>
      keys.length === 0
        ? Promise.resolve([])
        : read(`known ${keys.join(' ')}`, () => world.store.manifests(keys)).catch(() => keys.map(() => null)),
    vectors: (manifests) =>
      read(`known vectors of ${manifests.map(({ key }) => key).join(' ')}`, () => world.store.vectors(manifests)).catch(
        () => new Map<string, Buffer>(),
      ),
  }
}
