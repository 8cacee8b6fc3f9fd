import { Command } from 'commander'
import { ensureTopics } from '../schemas/ensure-topics.ts'
import { control, documents } from '../schemas/topics.ts'
import { loadConfig, workerConfig } from '../services/config.ts'
import { openEpochs, refusalOf } from '../services/epoch.ts'
import { nameIn } from '../streams/topic.ts'
import { withOutside } from './outside.ts'

export function epoch(): Command {
  return new Command('epoch')
    .description('Shows which topic documents is, and which one the index follows; accepts a new one.')
    .option('--accept', 'make the present topic the truth: a new epoch, in which the index is filled anew')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet epoch --accept')
    .action(async ({ accept, json }: { accept?: true; json?: true }) => {
      const answer = await withEpoch(accept === true)
      if (json) return console.log(JSON.stringify(answer, null, 2))
      const { topic, epoch, recorded, present, refusal } = answer
      console.log(`${topic}  epoch ${epoch}`)
      console.log(`recorded  ${recorded ?? 'nothing yet'}`)
      console.log(`present   ${present ?? 'no such topic'}`)
      if (refusal !== null) console.log(refusal)
      if (refusal !== null) process.exitCode = 1
    })
}

function withEpoch(accept: boolean) {
  const { topicPrefix: prefix, partitions, replicationFactor } = loadConfig(workerConfig, { env: process.env })
  const scope = { prefix, space: '' }
  return withOutside(async (outside) => {
    const { broker } = outside
    const serde = outside.serde(scope)
    await serde.register([control])
    const plan = { scope, partitions, replicationFactor }
    await ensureTopics(broker.admin, plan, accept ? [control, documents] : [control])
    const epochs = await openEpochs(broker, serde, scope)
    try {
      if (accept) await epochs.accept()
      const { recorded, present } = await epochs.identities()
      const topic = nameIn(scope, documents)
      return {
        topic,
        epoch: epochs.epoch,
        recorded: recorded?.id ?? null,
        present,
        refusal: refusalOf(topic, recorded, present),
      }
    } finally {
      await epochs.close()
    }
  })
}
