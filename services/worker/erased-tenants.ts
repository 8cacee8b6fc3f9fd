import type pino from 'pino'
import { Counter, type Registry } from 'prom-client'
import { erasedAt } from '../../maintenance/erasure-tenant.ts'
import { control } from '../../schemas/topics.ts'
import { openTable } from '../../streams/table.ts'
import type { Platform } from '../platform.ts'

/** The tenants that were erased: nothing of theirs is admitted, whoever sends it. */
export interface ErasedTenants {
  /** ms since 1970; null: it was not. */
  at(tenant: string): number | null
  /** A document was left out. */
  leftOut(tenant: string): void
  close(): Promise<void>
}

export async function followErased(
  { broker, serde, scope }: Platform,
  metrics: Registry,
  log: pino.Logger,
  failed: (error: Error) => void,
): Promise<ErasedTenants> {
  const table = await openTable(control, { broker, serde, scope, failed })
  await table.sync()
  const counted = new Counter({
    name: 'freshet_erased_tenant_documents_total',
    help: 'Documents of sources that were left out since their tenant was erased.',
    registers: [metrics],
  })
  const said = new Map<string, number>()
  const at = (tenant: string): number | null => erasedAt(tenant, (key) => table.get(key))
  return {
    at,
    leftOut(tenant) {
      counted.inc()
      if (Date.now() - (said.get(tenant) ?? 0) < SAY_EVERY_MS) return
      said.set(tenant, Date.now())
      const since = new Date(at(tenant) ?? 0).toISOString()
      log.warn({ tenant, since }, 'documents of an erased tenant are left out; stop who sends them')
    },
    close: () => table.close(),
  }
}

const SAY_EVERY_MS = 60_000
