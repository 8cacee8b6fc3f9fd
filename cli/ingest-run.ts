import type { Client, PublishItem } from '../client/client.ts'
import { goneFrom, type Ledger } from '../connectors/files/ledger.ts'
import type { Problem } from '../connectors/files/list.ts'
import type { FoundItem, Origin } from '../connectors/origin.ts'
import { type Ending, publishAll } from './publish-all.ts'

export interface RunSummary {
  indexed: number
  deleted: number
  unchanged: number
  rejected: number
  unconfirmed: number
  problems: Problem[]
}

export interface RunOptions {
  /** Publishes what is unchanged too. */
  readonly all?: boolean | undefined
  /** An item is done, of so many characters. */
  done?(chars: number, documents: number): void
}

/**
 * Publishes what is new or changed in the origins, deletes what is gone from those that are whole, and resolves when all of it can be found. May be
 * killed anywhere: the ledgers say before each batch what it was about to do, so that the next run does again what is in doubt.
 */
export async function ingestRun(
  client: Client,
  origins: readonly Origin[],
  { all, done }: RunOptions = {},
): Promise<RunSummary> {
  const summary: RunSummary = { indexed: 0, deleted: 0, unchanged: 0, rejected: 0, unconfirmed: 0, problems: [] }
  const unfinished = new Set<Origin>()
  const underWay = new Map<Ledger, Map<string, Sent>>()
  const save = () => {
    for (const { ledger } of origins) ledger.save()
  }

  const sent = (origin: Origin, id: string, found: FoundItem | null): Sent => {
    const item = found === null || found.fields === null ? { id, delete: true as const } : itemOf(id, found)
    const each: Sent = { origin, item, found }
    origin.ledger.doubted(id, found?.hash ?? null)
    const latest = underWay.get(origin.ledger) ?? new Map<string, Sent>()
    underWay.set(origin.ledger, latest.set(id, each))
    return each
  }

  async function* changed(): AsyncGenerator<Sent> {
    for (const origin of origins) {
      const { ledger } = origin
      const present = new Set<string>()
      for await (const each of origin.found()) {
        if ('problem' in each) summary.problems.push(each.problem)
        if ('id' in each) {
          present.add(each.id)
          if (!all && ledger.hashes.get(each.id) === each.hash) {
            summary.unchanged++
            done?.(sizeOf(each), 0)
          } else yield sent(origin, each.id, each)
        } else if (each.keeps !== undefined) present.add(each.keeps)
      }
      if (origin.isWhole) for (const id of goneFrom(ledger, present)) yield sent(origin, id, null)
    }
  }

  await publishAll(client, changed(), {
    sending: save,
    saved: save,
    done(each, ending) {
      const { origin, item, found } = each
      done?.(sizeOf(found), 1)
      count(summary, each, ending)
      if (ending.is !== 'published') {
        origin.failed?.(found?.path ?? item.id)
        if (ending.is === 'unconfirmed') unfinished.add(origin)
      }
      // Of several versions that are under way the last one counts, whichever is confirmed first.
      const latest = underWay.get(origin.ledger)!
      if (latest.get(item.id) !== each) return
      latest.delete(item.id)
      if (ending.is !== 'published') return
      if ('delete' in item) origin.ledger.deleted(item.id)
      else origin.ledger.published(item.id, found!.hash)
    },
  })
  for (const origin of origins) if (!unfinished.has(origin)) origin.completed?.()
  save()
  return summary
}

interface Sent {
  readonly origin: Origin
  readonly item: PublishItem
  /** null: it is gone. */
  readonly found: FoundItem | null
}

function count(summary: RunSummary, { item, found }: Sent, ending: Ending): void {
  if (ending.is !== 'published') {
    summary[ending.is]++
    summary.problems.push({ path: found?.path ?? item.id, reason: ending.reason })
  } else if ('delete' in item) summary.deleted++
  else summary.indexed++
}

const itemOf = (id: string, { fields }: FoundItem): PublishItem => ({ id, ...fields }) as PublishItem

/** Near enough for the progress line. */
const sizeOf = (found: FoundItem | null): number => found?.fields?.text.length ?? 0
