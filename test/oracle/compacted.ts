import type { Checked, Finding, Stored, World } from './world.ts'

/**
 * The world with what compaction took out of `documents` back in its place: it was acknowledged, and is in the order of its key.
 * Compaction may take what has a later record, and deletions; a document that is a key's last record stays, whatever happens.
 */
export function withCompacted(world: World): Checked & { readonly world: World } {
  const { documents, compacted = [] } = world
  const records = [...documents.records, ...compacted].sort((a, b) => a.partition - b.partition || a.offset - b.offset)
  const latest = new Map(records.map((record) => [keyOf(record), record]))
  const findings = compacted
    .filter((record) => record.value !== null && latest.get(keyOf(record)) === record)
    .map(
      ({ partition, offset, key }): Finding => ({
        invariant: 'I6',
        what: `documents ${partition}/${offset} is the last record of ${key}, deletes nothing, and is gone`,
      }),
    )
  return {
    world: { ...world, documents: { ...documents, records } },
    findings,
    compared: { I6: compacted.length },
  }
}

/** Their places, as partition/offset: nothing was made of them, and only a deletion among them still counts for what is served. */
export const unseenIn = ({ compacted = [] }: Pick<World, 'compacted'>): ReadonlySet<string> =>
  new Set(compacted.flatMap(({ unseen, partition, offset }) => (unseen ? [`${partition}/${offset}`] : [])))

const keyOf = ({ partition, key }: Stored): string => `${partition} ${key?.toString('utf8')}`
