import type { MemoryIndex } from '../../processors/memory-index.ts'
import type { KnownVectors, VectorIndex } from '../../processors/vector-index.ts'
import { Retry, StartOver } from '../../streams/errors.ts'
import type { Network } from './network.ts'
import type { Actor, Cuttable } from './scheduler.ts'

export interface IndexWorld {
  readonly store: MemoryIndex
  readonly network: Network
  /** Grows when the index is replaced: a connection made before is broken. */
  incarnation: number
  /** Called after each element of a request was applied. */
  changed(): void
}

/** A process's own connection to the index: what `connectors/qdrant` is to Qdrant. */
export function indexClient(world: IndexWorld, process: Actor): VectorIndex & KnownVectors {
  const { network } = world
  let connectedTo = world.incarnation

  const read = <T>(what: string, effect: () => Promise<T>): Promise<T> => {
    // Reads are tried again by the client, which connects anew and says nothing of it.
    connectedTo = world.incarnation
    const failure = () => new Retry(`${what}: the index did not answer`, { retryAfterMs: 500 })
    return network.call(process, { to: 'index', what, effect, failure, repeats: true })
  }

  const write = (what: string, steps: () => readonly (() => void)[]): Promise<void> => {
    const failure = () => new StartOver(`it is not known whether the index did: ${what}`)
    const isConnected = connectedTo === world.incarnation
    connectedTo = world.incarnation
    // Whoever stood still meanwhile may find it closed in time, and connect anew, or not.
    if (!isConnected && process.chance.hits(0.5)) {
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
      read(`read ${keys.join(' ')} marker ${partition}`, () => world.store.read(keys, partition)),
    apply: (writes) =>
      write(`apply ${writes.map(({ manifest: { key, fence } }) => `${key}=${fence.offset}`).join(' ')}`, () =>
        world.store.applySteps(writes),
      ),
    settle: (left, marker, expected) =>
      write(
        `settle ${left.map(({ key, fence }) => `-${key}=${fence.offset}`).join(' ')} marker ${marker.partition}=${marker.applied}`,
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
