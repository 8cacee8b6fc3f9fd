import type pino from 'pino'
import { Counter, type Registry } from 'prom-client'
import { erasedAt } from '../../maintenance/erasure-tenant.ts'
import type { Control } from '../../schemas/records.ts'

/** The tenants that were erased: nothing of theirs is admitted, whoever sends it. */
export interface ErasedTenants {
  /** ms since 1970; null: it was not. */
  at(tenant: string): number | null
  /** A document was left out. */
  leftOut(tenant: string): void
}

/** `control`: what it says now. */
export function erasedTenants(
  control: (subject: string) => Control | undefined,
  metrics: Registry,
  log: pino.Logger,
): ErasedTenants {
  const counted = new Counter({
    name: 'freshet_erased_tenant_documents_total',
    help: 'Documents of sources that were left out since their tenant was erased.',
    registers: [metrics],
  })
  const said = new Map<string, number>()
  const at = (tenant: string): number | null => erasedAt(tenant, control)
  return {
    at,
    leftOut(tenant) {
      counted.inc()
      if (Date.now() - (said.get(tenant) ?? 0) < SAY_EVERY_MS) return
      said.set(tenant, Date.now())
      const since = new Date(at(tenant) ?? 0).toISOString()
      log.warn({ tenant, since }, 'documents of an erased tenant are left out; stop who sends them')
    },
  }
}

const SAY_EVERY_MS = 60_000
