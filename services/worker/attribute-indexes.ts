import type pino from 'pino'
import { Gauge, type Registry } from 'prom-client'
import { dropIndex, indexedPaths, makeIndex, needless, unindexed } from '../../connectors/qdrant/attribute-indexes.ts'
import type { Qdrant } from '../../connectors/qdrant/client.ts'
import type { DeclaredAttributes } from '../../search/attributes.ts'
import { systemClock } from '../../streams/clock.ts'
import { reasonOf } from '../../streams/errors.ts'

export interface IndexesOptions {
  readonly qdrant: Qdrant
  readonly declared: DeclaredAttributes
  readonly metrics: Registry
  readonly log: pino.Logger
}

/**
 * Has each declared attribute indexed in the collections that are kept, one index after the other, beside everything else. What is not
 * declared any more is dropped once, at the start, so that workers of two declarations do not undo each other's work for ever; one
 * that is missing (a copy was put back) is made whenever that is seen.
 */
export function attributeIndexes({ qdrant, declared, metrics, log }: IndexesOptions) {
  const building = new Map<string, Set<string>>()
  new Gauge({
    name: 'freshet_attribute_indexes',
    help: 'Indexes of declared attributes: built, or not yet; filters are right without them, and slower.',
    labelNames: ['collection', 'state'],
    registers: [metrics],
    collect() {
      this.reset()
      for (const [collection, left] of building) {
        this.set({ collection, state: 'building' }, left.size)
        this.set({ collection, state: 'built' }, declared.size - left.size)
      }
    },
  })

  const make = async (collection: string, left: Set<string>, signal: AbortSignal): Promise<void> => {
    for (const name of [...left]) {
      const type = declared.get(name)!
      const began = performance.now()
      await makeIndex(qdrant, collection, [name, type], signal)
      left.delete(name)
      const ms = Math.round(performance.now() - began)
      log.info({ collection, attribute: name, type, ms }, 'an attribute is indexed')
    }
  }

  return async function keepIndexes(collection: string, signal: AbortSignal): Promise<void> {
    const left = new Set(declared.keys())
    building.set(collection, left)
    let isFirst = true
    while (!signal.aborted) {
      try {
        const indexed = await indexedPaths(qdrant, collection)
        for (const path of isFirst ? needless(indexed, declared) : []) {
          await dropIndex(qdrant, collection, path)
          log.info({ collection, path }, 'an index that no declared attribute needs is dropped')
        }
        isFirst = false
        for (const name of unindexed(indexed, declared)) left.add(name)
        await make(collection, left, signal)
      } catch (error) {
        if (signal.aborted) break
        const attributes = [...left]
        log.warn({ collection, attributes, reason: reasonOf(error) }, 'attributes are not indexed yet; trying again')
      }
      await systemClock.wait(left.size > 0 ? AGAIN_MS : LOOK_MS, signal)
    }
    building.delete(collection)
  }
}

const AGAIN_MS = 5_000
/** How soon an index is made again in a copy that was put back. */
const LOOK_MS = 60_000
