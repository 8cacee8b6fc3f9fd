import type { Control } from '../schemas/records.ts'
import { actions, control, deadLetters } from '../schemas/topics.ts'
import type { NewRecord } from '../streams/broker.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { openTable } from '../streams/table.ts'
import { nameIn } from '../streams/topic.ts'
import type { EraseWorld } from './erasure-world.ts'
import { decisionKey } from './letter-decisions.ts'

export const tenantKey = (tenant: string): string => `tenants/${tenant}`

/** When the tenant was erased, ms since 1970; null: it was not. */
export const erasedAt = (tenant: string, get: (key: string) => Control | undefined): number | null =>
  get(tenantKey(tenant))?.tenant?.erasedAt ?? null

/** Nothing is admitted of the tenant from now on, and its API keys are good no more. */
export async function refuseTenant(tenant: string, world: EraseWorld): Promise<void> {
  const now = world.clock.now()
  const entries = await controlOf(world)
  const present = entries.get(tenantKey(tenant))?.tenant ?? NO_QUOTA
  const records = [...entries].flatMap(([key, { apiKey }]) =>
    apiKey === null || apiKey.tenant !== tenant || (apiKey.revokedAt !== null && apiKey.name === ERASED)
      ? []
      : [recordOf(key, { apiKey: { ...apiKey, name: ERASED, revokedAt: apiKey.revokedAt ?? now } }, world)],
  )
  if (present.erasedAt === null)
    records.unshift(recordOf(tenantKey(tenant), { tenant: { ...present, erasedAt: now } }, world))
  if (records.length > 0) await world.send(records)
}

/** A key's name may say whose it was. */
const ERASED = 'erased'
const NO_QUOTA = { documentsPerSecond: null, bytesPerSecond: null, embeddedTokensPerMinute: null, erasedAt: null }

/** Dead letters of these entries are neither listed nor shown nor replayed from now on. */
export async function hideLetters(ids: ReadonlySet<string>, world: EraseWorld): Promise<void> {
  const { broker, scope, clock, by } = world
  if (ids.size === 0) return
  const entries = await controlOf(world)
  const through = (await broker.admin.offsets(nameIn(scope, deadLetters)))[0]?.end ?? 0
  const decision = { state: 'erased', at: clock.now(), by, why: 'its document was erased', through }
  const records = [...ids]
    .filter((id) => entries.get(decisionKey(id))?.deadLetter?.state !== 'erased')
    .map((id) => recordOf(decisionKey(id), { deadLetter: decision }, world))
  if (records.length > 0) await world.send(records)
}

/** What was done, by whom, for each name. */
export async function writeActions(names: readonly string[], detail: string, world: EraseWorld): Promise<void> {
  const { serde, scope, clock, by, requestId = null, send } = world
  await send(
    names.map(
      (subject): NewRecord => ({
        topic: nameIn(scope, actions),
        partition: partitionOf(subject, actions.partitions as number),
        key: subject,
        value: serde.encode(actions, { at: clock.now(), by, what: 'erase', subject, detail, requestId }),
      }),
    ),
  )
}

function recordOf(key: string, value: Partial<Control>, { serde, scope }: EraseWorld): NewRecord {
  const partition = partitionOf(key, control.partitions as number)
  return { topic: nameIn(scope, control), partition, key, value: serde.encode(control, value) }
}

async function controlOf({ broker, serde, scope, clock }: EraseWorld): Promise<Map<string, Control>> {
  const failure = Promise.withResolvers<never>()
  failure.promise.catch(() => {})
  const table = await openTable(control, { broker, serde, scope, clock, failed: failure.reject })
  try {
    await Promise.race([table.sync(), failure.promise])
    return new Map(table.entries())
  } finally {
    await table.close()
  }
}
