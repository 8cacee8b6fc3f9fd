import { Command } from 'commander'
import type { PublishItem } from '../client/client.ts'
import { goneFrom, openLedger } from '../connectors/files/ledger.ts'
import { extensions, listFiles, type Problem } from '../connectors/files/list.ts'
import { type FileDocument, readDocuments } from '../connectors/files/read.ts'
import { localSettings } from '../infra/local/settings.ts'
import { withClient } from './connection.ts'
import { ingestProgress } from './ingest-progress.ts'
import { publishAll } from './publish-all.ts'

export function ingest(): Command {
  return new Command('ingest')
    .description(
      'Publishes files and folders, only what is new or changed, and deletes what is gone from a folder ingested before.',
    )
    .argument('<path...>', `files (${extensions.join(', ')}) and folders`)
    .option('--all', 'publish what is unchanged too')
    .option('--json', 'the summary as JSON')
    .addHelpText('after', '\nExample: freshet ingest docs README.md')
    .action(async (paths: string[], { all, json }: { all?: true; json?: true }) => {
      const { dataDir } = localSettings(process.env)
      const listing = await listFiles(paths)
      const problems: Problem[] = [...listing.problems]
      const ledgers = new Map(
        [...new Set(listing.files.map(rootOf)), ...listing.folders].map((root) => [root, openLedger(dataDir, root)]),
      )
      for (const [root, { damaged }] of ledgers)
        if (damaged)
          problems.push({
            path: root,
            reason:
              'the record of what was ingested before is damaged; everything is published again, and nothing is deleted',
          })
      const progress = ingestProgress(process.stderr, listing.bytes)
      const present = new Map([...ledgers.keys()].map((root) => [root, new Set<string>()]))
      let unchanged = 0

      async function* changed(): AsyncGenerator<Sent> {
        for (const file of listing.files) {
          const root = rootOf(file)
          for await (const each of readDocuments(file)) {
            if ('reason' in each) {
              problems.push(each)
              // What cannot be read now is not gone.
              present.get(root)!.add(file.id)
              continue
            }
            present.get(root)!.add(each.id)
            if (!all && ledgers.get(root)!.hashes.get(each.id) === each.hash) {
              unchanged++
              progress.done(sizeOf(each), 0)
            } else yield { item: itemOf(each), document: each, root }
          }
        }
        for (const folder of listing.folders) {
          for (const id of goneFrom(ledgers.get(folder)!, present.get(folder)!))
            yield { item: { id, delete: true }, document: null, root: folder }
        }
      }

      const summary = { indexed: 0, deleted: 0, unchanged: 0, rejected: 0, unconfirmed: 0 }
      await withClient((client) =>
        publishAll(client, changed(), {
          done({ document, root, item }, ending) {
            const ledger = ledgers.get(root)!
            progress.done(document === null ? 0 : sizeOf(document), 1)
            if (ending.is !== 'published') {
              summary[ending.is]++
              problems.push({ path: document?.from.path ?? item.id, reason: ending.reason })
              if (ending.is === 'unconfirmed') ledger.doubted(item.id, document?.hash ?? null)
            } else if ('delete' in item) {
              summary.deleted++
              ledger.deleted(item.id)
            } else {
              summary.indexed++
              ledger.published(item.id, document!.hash)
            }
          },
          // A run that is cut off goes on where it was.
          saved: () => {
            for (const ledger of ledgers.values()) ledger.save()
          },
        }),
      )
      summary.unchanged = unchanged
      progress.close()
      if (json) console.log(JSON.stringify({ ...summary, problems }, null, 2))
      else {
        for (const { path, line, reason } of problems)
          console.error(`${path}${line === undefined ? '' : `:${line}`}: ${reason}`)
        console.log(
          `${summary.indexed} published, ${summary.deleted} deleted, ${summary.unchanged} unchanged, ${problems.length} with problems`,
        )
      }
      if (problems.length > 0) process.exitCode = 1
    })
}

interface Sent {
  readonly item: PublishItem
  readonly document: FileDocument | null
  readonly root: string
}

/** Bytes of the input, as near as the progress line needs. */
const sizeOf = ({ fields }: FileDocument): number => fields?.text.length ?? 0

/** Files that are given one by one are remembered one by one. */
const rootOf = ({ folder, path }: { folder: string | null; path: string }): string => folder ?? path

function itemOf({ id, fields }: FileDocument): PublishItem {
  return fields === null ? { id, delete: true } : ({ id, ...fields } as PublishItem)
}
