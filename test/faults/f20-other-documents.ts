import { ensureTopics } from '../../schemas/ensure-topics.ts'
import { documents, inbox } from '../../schemas/topics.ts'
import { pointsOf } from '../index-points.ts'
import { until } from '../until.ts'
import type { Context, Row } from './row.ts'
import { healthOf, shown } from './worker-states.ts'

const rounds = { fast: 1, full: 3 }

/** Nothing is touched until a person has accepted the new topic; then it is the truth, and what only the former had is gone. */
export const otherDocuments: Row = {
  id: 'F20b',
  title: 'documents and inbox deleted and created again, and accepted',
  sets: ['full'],
  async run(context) {
    const { set, load, healed, atRest, say } = context
    for (let round = 0; round < rounds[set]; round++) {
      await load.write(200)
      await atRest()
      await createdAgain(context)
      say(`accepted: all was there ${(await healed()).toFixed(1)} s after`)
      await allReady(context)
      // For the readers: what they were answered up to here is of two topics.
      await load.write(100)
      await atRest()
    }
  },
}

async function createdAgain({ platform, load, workers, queries, renewed, count, expect }: Context): Promise<void> {
  const { broker, scope, partitions, topic } = platform
  const before = await pointsOf(platform)
  await broker.admin.deleteTopics([topic(documents), topic(inbox)])
  count('stages that said that their topic is gone', (await shown(workers, 'source-recreated')).length)
  await ensureTopics(broker.admin, { scope, partitions, replicationFactor: 1 })
  const sent = load.sent.length
  await load.write(100)
  for (const role of [...workers, ...queries]) await shown([role], 'source-recreated')
  const untouched = JSON.stringify(await pointsOf(platform)) === JSON.stringify(before)
  expect(untouched, 'the index was changed before the new documents was accepted')

  const command = platform.freshet('epoch', '--accept', '--json')
  const ended = await command.ended
  const { epoch } = JSON.parse(command.log()) as { epoch: number }
  expect(ended === 'ended with exit code 0', `freshet epoch --accept ${ended}: ${command.log()}`)
  await renewed(epoch, sent)
  await load.write(100)
}

async function allReady({ workers, queries }: Context): Promise<void> {
  await until(
    'every role is ready',
    async () => {
      const missing = (await Promise.all([...workers, ...queries].map(healthOf))).flatMap((each) => each.missing)
      return missing.length === 0 || missing.join('; ')
    },
    60_000,
  )
}
