import { Command } from 'commander'
import { catalogue } from '../schemas/topics.ts'
import { loadConfig, queryConfig } from '../services/config.ts'
import { sourcesOf } from '../services/sources.ts'
import type { Broker } from '../streams/broker.ts'
import { nameIn } from '../streams/topic.ts'
import { withOutside } from './outside.ts'
import { spacesIn } from './spaces.ts'

export function topics(): Command {
  return new Command('topics')
    .description('Lists the topics: what flows in them, partitions, records.')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet topics')
    .action(async ({ json }: { json?: true }) => {
      const rows = await withOutside(({ broker }) => topicRows(broker))
      if (json) return console.log(JSON.stringify(rows, null, 2))
      const wide = Math.max(...rows.map(({ name }) => name.length))
      for (const { name, partitions, offsets, about } of rows) {
        console.log(
          `${name.padEnd(wide)}  ${String(partitions).padStart(2)} partitions  ${String(offsets).padStart(8)} offsets  ${about}`,
        )
      }
    })
}

export interface TopicRow {
  readonly name: string
  readonly about: string
  readonly partitions: number
  /** End minus start, over all partitions: records, and gaps that compaction and transactions leave. */
  readonly offsets: number
}

export async function topicRows({ admin }: Broker): Promise<TopicRow[]> {
  const states = await admin.topics()
  const config = loadConfig(queryConfig, { env: process.env })
  const { topicPrefix } = config
  const rows: TopicRow[] = []
  const [, ...sources] = sourcesOf(config)
  for (const topic of [...catalogue, ...sources]) {
    const names = topic.name.includes('<space>')
      ? spacesIn(states.map(({ name }) => name)).map((space) => nameIn({ prefix: topicPrefix, space }, topic))
      : [topicPrefix + topic.name]
    for (const { name, partitions } of states.filter((state) => names.includes(state.name))) {
      const offsets = (await admin.offsets(name)).reduce((sum, { start, end }) => sum + end - start, 0)
      rows.push({ name, about: topic.about, partitions, offsets })
    }
  }
  return rows
}
