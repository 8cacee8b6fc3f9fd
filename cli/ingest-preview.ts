import { Command } from 'commander'
import { type Previewed, previewRecord } from '../processors/mapping/preview.ts'
import { mappedNamed } from '../schemas/topics.ts'
import { loadConfig, platformConfig } from '../services/config.ts'
import { mappingsOf } from '../services/mappings.ts'
import { Fatal } from '../streams/errors.ts'
import { foreignReader } from '../streams/foreign.ts'
import { nameIn } from '../streams/topic.ts'
import { withOutside } from './outside.ts'
import { whole } from './wish.ts'

/** Looks only: no group, no position, no record. */
export function ingestPreview(): Command {
  return new Command('preview')
    .description(
      'Shows what the first records of a mapped topic would become and why others are rejected; writes nothing.',
    )
    .argument('<topic>', 'its name in the mapping')
    .option('--limit <records>', 'of all partitions together', whole, 20)
    .option('--file <mappings>', 'instead of FRESHET_MAPPINGS')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet ingest preview shop.public.products --limit 5')
    .action(async (topic: string, _: object, command: Command) => {
      // What `ingest` has options of the same name for is given to it by the parser.
      const { limit, file, json } = command.optsWithGlobals() as { limit: number; file?: string; json?: true }
      const config = loadConfig(platformConfig, {
        env: process.env,
        flags: file === undefined ? {} : { mappings: file },
      })
      const mappings = mappingsOf(config)
      const mapping = mappings.get(topic)
      if (mapping === undefined)
        throw new Fatal(
          `${topic} has no mapping; there are ${[...mappings.keys()].join(', ') || 'none (set FRESHET_MAPPINGS)'}`,
        )
      const source = mappedNamed(topic)
      const name = nameIn({ prefix: config.topicPrefix, space: '' }, source)
      const previewed: Previewed[] = []
      await withOutside(async ({ broker, registry }) => {
        if (!(await broker.admin.topics()).some((each) => each.name === name))
          throw new Fatal(`topic ${name} does not exist; start what writes it`)
        const reader = foreignReader(registry)
        for (const { partition, start, end } of await broker.admin.offsets(name)) {
          if (start === end || previewed.length >= limit) continue
          reading: for await (const { records } of broker.read({ topic: name, partition, from: start, to: end }))
            for (const record of records) {
              if (previewed.length >= limit) break reading
              previewed.push(await previewRecord(record, source, mapping, reader, config.attributes))
            }
        }
      })
      if (json) console.log(JSON.stringify(previewed, null, 2))
      else for (const line of previewLines(previewed)) console.log(line)
      if (previewed.some(({ is }) => is === 'rejected')) process.exitCode = 1
    })
}

/** A line for each record, and one that counts. */
export function previewLines(previewed: readonly Previewed[]): string[] {
  const lines = previewed.map((each) => {
    const place = `${each.partition}/${each.offset}`.padEnd(10)
    if (each.is === 'rejected') return `${place} rejected  ${each.reason}`
    const { did, key, why, documents } = each
    if (did !== 'put')
      return `${place} ${did === 'erase' ? 'deletes' : 'nothing'}   ${[key, why].filter(Boolean).join('  ')}`
    const [first, ...others] = documents.filter(({ document }) => document !== null)
    const { title, text = '', attributes = {}, acl } = first?.document ?? {}
    const parts = others.length > 0 ? `  ${others.length + 1} parts` : ''
    const seen = [title && `"${title}"`, JSON.stringify(text.slice(0, TEXT_SHOWN)), JSON.stringify(attributes)]
    return `${place} document  ${key}${parts}  ${[...seen, acl && `acl ${acl.join(',')}`].filter(Boolean).join('  ')}`
  })
  const count = (is: (each: Previewed) => boolean) => previewed.filter(is).length
  const rejected = count(({ is }) => is === 'rejected')
  const put = count((each) => each.is === 'made' && each.did === 'put')
  return [
    ...lines,
    `${previewed.length} records: ${put} documents, ${previewed.length - put - rejected} deletions and others, ${rejected} rejected`,
  ]
}

const TEXT_SHOWN = 80
