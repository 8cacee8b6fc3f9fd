import { ensureTopics } from '../../schemas/ensure-topics.ts'
import { deadLetters, documents, inbox } from '../../schemas/topics.ts'
import { positionsAt } from './positions.ts'
import type { Context, Row } from './row.ts'
import { configure } from './topic-surgery.ts'
import { over, shown } from './worker-states.ts'

const rounds = { fast: 1, full: 3 }
const RECORDS = 250
/**
 * Smaller than any letter, and larger than the marker that ends a transaction: where a broker cannot append that, it keeps the
 * transaction open until it is started again, also when the setting is taken back.
 */
const MARKER_FITS_BYTES = 150

const stages = [
  { door: 'inbox', topic: inbox, stage: 'ingest-documents' },
  { door: 'documents', topic: documents, stage: 'embed-documents' },
] as const

/** The stage that has a dead letter stops, skips nothing and says so; it goes on by itself when its letters are taken. */
export const lettersUnavailable: Row = {
  id: 'F22',
  title: 'the topic dead-letters gone, and refusing every letter',
  sets: ['full'],
  async run(context) {
    const { set, platform } = context
    const { broker, scope, partitions } = platform
    // First of all, before there is a letter: those in a topic that is deleted are gone with it.
    await without(
      context,
      'gone',
      () => broker.admin.deleteTopics([platform.topic(deadLetters)]),
      () => ensureTopics(broker.admin, { scope, partitions, replicationFactor: 1 }),
    )
    for (let round = 0; round < rounds[set]; round++)
      await without(
        context,
        'refusing',
        () => configure(platform, deadLetters, { 'max.message.bytes': String(MARKER_FITS_BYTES) }),
        () => configure(platform, deadLetters),
      )
  },
}

async function without(
  { platform, load, workers, healed, count, expect, say }: Context,
  name: string,
  begin: () => Promise<unknown>,
  end: () => Promise<unknown>,
): Promise<void> {
  await begin()
  const before = load.sent.length
  await load.write(RECORDS)
  const poison = load.sent.slice(before).filter(({ meant }) => meant.kind === 'poison')
  for (const { door, topic, stage } of stages) {
    const byPartition = Map.groupBy(
      poison.filter((each) => each.door === door),
      ({ partition }) => partition,
    )
    expect(byPartition.size > 0, `${name}: no poison came by ${door}: the row says nothing about ${stage}`)
    const waiting = [...byPartition.keys()].map((partition) => `${stage} on ${platform.topic(topic)}/${partition}`)
    await shown(workers, 'dead-letters-unavailable', { subjects: waiting })
    // What comes after it while it waits is not passed either.
    await load.write(20)
    const positions = await positionsAt(platform, door)
    for (const [partition, records] of byPartition) {
      const first = Math.min(...records.map(({ offset }) => offset!))
      const at = positions.get(partition) ?? 0
      count('partitions that waited')
      expect(at <= first, `${stage} is at ${at} of ${door}/${partition}, and the letter of ${first} is nowhere`)
    }
  }
  count(`poison records while it was ${name}`, poison.length)
  await end()
  const seconds = await healed()
  await over(workers, 'dead-letters-unavailable')
  say(`${name}: ${poison.length} poison records, and all was there ${seconds.toFixed(1)} s after`)
}
