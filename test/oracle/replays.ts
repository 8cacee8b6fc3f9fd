import type { Receipt } from '../../schemas/records.ts'
import type { Mutation } from './mutations.ts'
import type { RightWorld } from './right-world.ts'
import type { World } from './world.ts'

/** The right world, in which one document could not be read at first, and was indexed by the replay of its dead letter. */
export function replayedWorld(right: RightWorld, next: () => number): World {
  const receipt = indexedOne(right, next)
  return {
    ...right.world,
    receipts: replayed(right, receipt),
    deadLetters: [...right.world.deadLetters, letterOf(right, receipt)],
  }
}

export const replayMutations: readonly Mutation[] = [
  {
    name: 'a sound record that is rejected, and that nobody derived again',
    invariant: 'I5',
    mutate(right, next) {
      const receipt = indexedOne(right, next)
      return { ...right.world, receipts: [...without(right, receipt), { ...receipt, outcome: 'rejected' }] }
    },
  },
  {
    name: 'two outcomes of one replay',
    invariant: 'I5',
    mutate(right, next) {
      const receipt = indexedOne(right, next)
      const twice: Receipt = { ...receipt, derivation: receipt.derivation + 1, outcome: 'deleted' }
      return { ...right.world, receipts: [...replayed(right, receipt), twice] }
    },
  },
  {
    name: 'a replay after which what was indexed is rejected',
    invariant: 'I5',
    mutate(right, next) {
      const receipt = indexedOne(right, next)
      const again: Receipt = { ...receipt, derivation: receipt.derivation + 1, outcome: 'rejected' }
      return { ...right.world, receipts: [...right.world.receipts, again] }
    },
  },
  {
    name: 'a dead letter of a sound record, although it was derived again',
    invariant: 'I6',
    mutate(right, next) {
      const receipt = indexedOne(right, next)
      const again: Receipt = { ...receipt, derivation: receipt.derivation + 1 }
      return {
        ...right.world,
        receipts: [...right.world.receipts, again],
        deadLetters: [...right.world.deadLetters, letterOf(right, receipt)],
      }
    },
  },
  {
    name: 'a dead letter with other bytes, of a record that was replayed',
    invariant: 'I6',
    mutate(right, next) {
      const world = replayedWorld(right, next)
      const letter = world.deadLetters.at(-1)!
      return { ...world, deadLetters: [...right.world.deadLetters, { ...letter, value: Buffer.from('other') }] }
    },
  },
]

/** Rejected at first, and indexed by the next derivation. */
const replayed = (right: RightWorld, receipt: Receipt): Receipt[] => [
  ...without(right, receipt),
  { ...receipt, outcome: 'rejected' },
  { ...receipt, derivation: receipt.derivation + 1 },
]

const without = ({ world }: RightWorld, receipt: Receipt): Receipt[] =>
  world.receipts.filter(({ partition, offset }) => partition !== receipt.partition || offset !== receipt.offset)

function indexedOne({ world }: RightWorld, next: () => number): Receipt {
  const indexed = world.receipts.filter(({ outcome }) => outcome === 'indexed')
  if (indexed.length === 0) throw new Error('nothing is indexed in the world; let it be larger')
  return indexed[Math.floor(next() * indexed.length)]!
}

function letterOf({ world }: RightWorld, { partition, offset }: Receipt): World['deadLetters'][number] {
  const { key, value } = world.documents.records.find((each) => each.partition === partition && each.offset === offset)!
  const [letter] = world.deadLetters
  return { ...letter!, topic: world.documents.topic, partition, offset, class: 'schema', key, value }
}
