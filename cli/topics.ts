import { Command } from 'commander'
import { catalogue } from '../schemas/topics.ts'
import type { Broker } from '../streams/broker.ts'
import { kafkaBroker } from '../streams/brokers/kafka.ts'
import { addresses } from './connection.ts'

export function topics(): Command {
  return new Command('topics')
    .description('Lists the topics: what flows in them, partitions, records.')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet topics')
    .action(async ({ json }: { json?: true }) => {
      const rows = await withBroker(topicRows)
      if (json) return console.log(JSON.stringify(rows, null, 2))
      const wide = Math.max(...rows.map(({ name }) => name.length))
      for (const { name, partitions, offsets, about } of rows) {
        console.log(
          `${name.padEnd(wide)}  ${String(partitions).padStart(2)} partitions  ${String(offsets).padStart(8)} offsets  ${about}`,
        )
      }
    })
}

export async function withBroker<T>(work: (broker: Broker) => Promise<T>): Promise<T> {
  const broker = kafkaBroker({ brokers: [...addresses().kafka], clientId: 'freshet-cli' })
  try {
    await broker.admin.ready(5_000)
    return await work(broker)
  } finally {
    await broker.close()
  }
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
  const rows: TopicRow[] = []
  for (const { name: pattern, about } of catalogue) {
    const matches = new RegExp(`${pattern.replace('.', '\\.').replace('<space>', 'es_[0-9a-z_]+')}$`)
    for (const { name, partitions } of states.filter((state) => matches.test(state.name))) {
      const offsets = (await admin.offsets(name)).reduce((sum, { start, end }) => sum + end - start, 0)
      rows.push({ name, about, partitions, offsets })
    }
  }
  return rows
}
