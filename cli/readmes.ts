import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { PublishItem } from '../client/client.ts'
import { openLedger } from '../connectors/files/ledger.ts'
import { FILE_BYTES_MAX } from '../connectors/files/read.ts'
import { type LocalSettings, repositoryDir } from '../infra/local/settings.ts'
import { withClient } from './connection.ts'
import { ingestProgress } from './ingest-progress.ts'
import { publishAll } from './publish-all.ts'

/** Real documents that are on any machine: what the installed packages say of themselves. Ingested once, on the first run. */
export async function ingestReadmes({ dataDir }: Pick<LocalSettings, 'dataDir'>, signal: AbortSignal): Promise<void> {
  const ledger = openLedger(dataDir, SAMPLE)
  if (ledger.hashes.has(COMPLETE)) return
  const items = (await readmes(join(repositoryDir, 'node_modules'))).filter(({ item }) => !ledger.hashes.has(item.id))
  console.log(
    `Ingesting the READMEs of the installed packages, ${items.length} of them, so that there is something to search:`,
  )
  const bytes = items.reduce((sum, { item }) => sum + ('text' in item ? item.text.length : 0), 0)
  const progress = ingestProgress(process.stderr, bytes)
  const ended = { published: 0, rejected: 0, unconfirmed: 0 }
  async function* each() {
    for (const one of items) {
      if (signal.aborted) return
      yield one
    }
  }
  try {
    await withClient((client) =>
      publishAll(client, each(), {
        done({ item }, { is }) {
          progress.done(item.text.length, 1)
          ended[is]++
          if (is !== 'unconfirmed') ledger.published(item.id, '')
        },
        saved: () => ledger.save(),
      }),
    )
  } catch (error) {
    if (signal.aborted) return
    throw error
  }
  progress.close()
  const { rejected, unconfirmed } = ended
  if (rejected > 0) console.log(`${rejected} of them have no text to speak of and were rejected.`)
  if (unconfirmed > 0) console.log(`${unconfirmed} of them may not have been written; the next start sends them again.`)
  if (signal.aborted || unconfirmed > 0) return
  ledger.published(COMPLETE, '')
  ledger.save()
}

const SAMPLE = 'sample: READMEs of the installed packages'
const COMPLETE = '~complete'
const wanted = /^readme(\.[a-z-]+)?\.(md|markdown)$/i

async function readmes(folder: string): Promise<{ item: Extract<PublishItem, { text: string }> }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const items = []
  for (const entry of entries.filter((each) => each.isFile() && wanted.test(each.name))) {
    const path = join(entry.parentPath, entry.name)
    const text = await readFile(path, 'utf8')
    const owner = packageOf(entry.parentPath, folder)
    // Packages inside packages are mostly other versions of the same.
    const nested = path.slice(folder.length + 1).includes('node_modules')
    if (nested || owner === null || text.trim() === '' || Buffer.byteLength(text) > FILE_BYTES_MAX) continue
    const { name, version } = JSON.parse(await readFile(join(owner, 'package.json'), 'utf8')) as {
      name?: string
      version?: string
    }
    if (name === undefined) continue
    items.push({
      item: {
        id: `packages/${path.slice(folder.length + 1).replaceAll('\\', '/')}`,
        text,
        contentType: 'text/markdown',
        title: name,
        url: `https://www.npmjs.com/package/${name}`,
        attributes: { package: name, version: version ?? '' },
      },
    })
  }
  return items.sort((a, b) => (a.item.id < b.item.id ? -1 : 1))
}

/** The folder of the package that a folder is in. */
function packageOf(folder: string, top: string): string | null {
  for (let at = folder; at.length > top.length; at = dirname(at)) if (existsSync(join(at, 'package.json'))) return at
  return null
}
