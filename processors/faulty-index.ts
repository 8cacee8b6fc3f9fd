import { Retry, StartOver } from '../streams/errors.ts'
import type { MemoryIndex } from './memory-index.ts'
import type { Write } from './vector-index.ts'

/** Where in a call the index fails; null: nowhere. */
export type Failing = () => 'before' | 'midway' | 'after' | null

/** An index whose answers get lost and whose writes stop halfway, for simulations. */
export function faultyIndex(index: MemoryIndex, failing: Failing): MemoryIndex {
  const doubt = () => new StartOver('it is not known what was written')
  return {
    ...index,
    async read(keys, partition) {
      if (failing() !== null) throw new Retry('the index did not answer')
      return index.read(keys, partition)
    },
    async apply(writes) {
      const fault = failing()
      if (fault === 'before') throw doubt()
      if (fault === 'midway') {
        // Some whole, of the next the chunks without the manifest.
        const whole = Math.floor(writes.length / 2)
        await index.apply(writes.slice(0, whole))
        await index.apply(writes.slice(whole, whole + 1).map(refused))
        throw doubt()
      }
      await index.apply(writes)
      if (fault === 'after') throw doubt()
    },
    async settle(left, marker) {
      const fault = failing()
      if (fault === 'before') throw doubt()
      if (fault === 'midway') {
        const present = (await index.read([], marker.partition)).marker
        if (present !== null) await index.settle(left, present)
        throw doubt()
      }
      await index.settle(left, marker)
      if (fault === 'after') throw doubt()
    },
  }
}

/** Its chunks are written; its manifest expects a fence that never was. */
const refused = (write: Write): Write => ({ ...write, expected: { epoch: 0, offset: 0, derivation: 0 } })
