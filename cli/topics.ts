import { Command } from 'commander'
import { loadConfig, queryConfig } from '../services/config.ts'
import { topicRows } from '../services/log-status.ts'
import { sourcesOf } from '../services/sources.ts'
import { withOutside } from './outside.ts'

export function topics(): Command {
  return new Command('topics')
    .description('Lists the topics: what flows in them, partitions, records.')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet topics')
    .action(async ({ json }: { json?: true }) => {
      const config = loadConfig(queryConfig, { env: process.env })
      const rows = await withOutside(({ broker }) => topicRows(broker, config.topicPrefix, sourcesOf(config)))
      if (json) return console.log(JSON.stringify(rows, null, 2))
      const wide = Math.max(...rows.map(({ name }) => name.length))
      for (const { name, partitions, offsets, about } of rows) {
        console.log(
          `${name.padEnd(wide)}  ${String(partitions).padStart(2)} partitions  ${String(offsets).padStart(8)} offsets  ${about}`,
        )
      }
    })
}
