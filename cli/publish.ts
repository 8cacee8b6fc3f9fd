import { text as readAll } from 'node:stream/consumers'
import { Command } from 'commander'
import type { PublishItem } from '../client/client.ts'
import { FreshetError } from '../client/client.ts'
import { withClient } from './connection.ts'
import { json } from './filter.ts'

export function publish(): Command {
  return new Command('publish')
    .description('Publishes or deletes one document, and waits until that can be found.')
    .argument('<id>', 'the document’s id')
    .argument('[text...]', 'its text; read from standard input if left out')
    .option('-t, --title <title>', 'its title')
    .option('-u, --url <url>', 'where a person can read it')
    .option('-l, --language <tag>', 'its language, like en or de')
    .option('-c, --content-type <type>', 'text/plain, text/markdown or text/html', 'text/plain')
    .option('-a, --attributes <json>', 'as JSON; searches may filter by those that are declared', json)
    .option('-g, --groups <list>', 'only their members are shown it, with commas between; default: everyone', groups)
    .option('--delete', 'deletes the document')
    .option('--json', 'the answer as it came')
    .addHelpText(
      'after',
      '\nExamples: freshet publish hello "Freshness is what we are for." --title Hello\n          freshet publish hello --delete',
    )
    .action(async (id: string, words: string[], { delete: gone, json: asJson, groups: acl, ...fields }: Options) => {
      const item: PublishItem = gone
        ? { id, delete: true }
        : {
            id,
            text: words.length > 0 ? words.join(' ') : await readAll(process.stdin),
            ...(acl && { acl }),
            ...(fields as object),
          }
      const began = performance.now()
      const answer = await withClient((client) => client.publish([item], { ack: 'indexed', timeoutMs: 30_000 })).catch(
        (error) => {
          // It was accepted all the same, and can be waited for.
          if (error instanceof FreshetError && error.token !== undefined) console.log(`token ${error.token}`)
          throw error
        },
      )
      if (asJson) return console.log(JSON.stringify(answer, null, 2))
      const [document] = answer.documents
      if (document?.outcome === 'rejected') throw new FreshetError('rejected', document.reason ?? 'rejected')
      console.log(`${id}: ${document?.outcome ?? 'indexed'} after ${Math.round(performance.now() - began)} ms`)
      console.log(`token ${answer.token}`)
      for (const notice of answer.notices) console.log(`note: ${notice}`)
    })
}

const groups = (list: string): string[] =>
  list
    .split(',')
    .map((group) => group.trim())
    .filter((group) => group !== '')

interface Options {
  delete?: true
  json?: true
  title?: string
  url?: string
  language?: string
  contentType?: string
  attributes?: Record<string, unknown>
  groups?: string[]
}
