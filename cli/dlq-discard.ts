import { Command } from 'commander'
import { entryOf, shortId } from '../maintenance/dead-letters.ts'
import { writeDecisions } from '../maintenance/letter-decisions.ts'
import { control } from '../schemas/topics.ts'
import { lettersNow } from './dlq-letters.ts'
import { withOperator } from './operator.ts'

export function dlqDiscard(): Command {
  return new Command('discard')
    .description('Takes dead letters out of the list for good, and writes down who, when and why.')
    .argument('<id...>', 'their ids, or the beginnings of them')
    .requiredOption('--why <text>', 'why nothing is to be done about them')
    .option('--json', 'what was written down, as JSON')
    .addHelpText('after', '\nExample: freshet dlq discard 3fa9c1d2 --why "a test of the importer"')
    .action(async (ids: string[], { why, json }: { why: string; json?: true }) => {
      if (why.trim() === '') throw new Error('--why: is empty; say why nothing is to be done about them')
      const decided = await withOperator(async (operator) => {
        const { entries, end } = await lettersNow(operator)
        const found = [...new Set(ids.map((id) => entryOf(entries, id).id))]
        const decision = { state: 'discarded', at: Date.now(), by: operator.by, why: why.trim(), through: end }
        const decisions = found.map((id) => ({ id, decision }))
        await operator.serde.register([control])
        const producer = await operator.broker.producer()
        try {
          await writeDecisions(decisions, { ...operator, producer })
        } finally {
          await producer.close()
        }
        return decisions
      })
      if (json) console.log(JSON.stringify(decided, null, 2))
      else for (const { id } of decided) console.log(`${shortId(id)}  discarded`)
    })
}
