import { tenantKey } from '../maintenance/erasure-tenant.ts'
import type { Control } from '../schemas/records.ts'
import { isTenantName, TENANT_NAME_IN_WORDS } from '../schemas/tenant-name.ts'
import { configuredQuota, configuredSourceQuota, type QueryConfig, type WorkerConfig } from '../services/config.ts'
import { type OwnQuota, type Quota, quotaOf, sourceKey } from '../services/quotas.ts'

export interface HolderOptions {
  readonly tenant?: string
  readonly source?: string
}

export interface Holder {
  readonly kind: 'tenant' | 'source'
  readonly name: string
  /** In `control`. */
  readonly subject: string
}

export interface QuotaRow {
  readonly kind: Holder['kind']
  /** null: everyone who has none of its own. */
  readonly name: string | null
  /** In force. */
  readonly quota: Quota
  /** What `control` has; null where the configured one is in force. */
  readonly own: OwnQuota
  readonly hasOwn: boolean
  readonly bulk: boolean
  readonly erased: boolean
}

/** Throws for what cannot be the name of one. */
export function holderOf({ tenant, source }: HolderOptions): Holder {
  if ((tenant === undefined) === (source === undefined))
    throw new Error('name one of --tenant TENANT and --source TOPIC')
  if (tenant !== undefined) {
    if (!isTenantName(tenant)) throw new Error(`--tenant: ${JSON.stringify(tenant)} ${TENANT_NAME_IN_WORDS}`)
    return { kind: 'tenant', name: tenant, subject: tenantKey(tenant) }
  }
  if (!/^[A-Za-z0-9._-]{1,249}$/.test(source!))
    throw new Error(
      `--source: is ${JSON.stringify(source)}; it must be the name of a topic, without the prefix: letters, digits, ., _ and -`,
    )
  return { kind: 'source', name: source!, subject: sourceKey(source!) }
}

/** The configured ones first, then those that have their own; or only the one that is asked for. */
export function quotaRows(
  control: ReadonlyMap<string, Control>,
  config: QueryConfig & WorkerConfig,
  only: Holder | null,
): QuotaRow[] {
  const configured = { tenant: configuredQuota(config), source: configuredSourceQuota(config) }
  const row = (kind: Holder['kind'], name: string | null, value: Control | undefined): QuotaRow => {
    const { erasedAt = null, bulk = false, ...own } = { ...NONE, ...value?.tenant, ...value?.source }
    const hasOwn = bulk || Object.values(own).some((each) => each !== null)
    return { kind, name, quota: quotaOf(own, configured[kind]), own, hasOwn, bulk, erased: erasedAt !== null }
  }
  if (only !== null) return [row(only.kind, only.name, control.get(only.subject))]
  const found = [...control].flatMap(([subject, value]) => {
    const kind = value.tenant != null ? 'tenant' : value.source != null ? 'source' : null
    return kind === null ? [] : [row(kind, subject.slice(subject.indexOf('/') + 1), value)]
  })
  return [row('tenant', null, undefined), row('source', null, undefined), ...found.filter(({ hasOwn }) => hasOwn)]
}

/** The record of `control` with another quota; what else it says stays. */
export function recordOf(
  control: ReadonlyMap<string, Control>,
  { kind, subject }: Holder,
  change: (present: OwnQuota & { bulk: boolean }) => OwnQuota & { bulk: boolean },
): Partial<Control> {
  const value = control.get(subject)
  const { bulk, ...own } = change({ ...NONE, bulk: false, ...value?.tenant, ...value?.source })
  if (kind === 'source') return { source: { ...quotaFields(own), bulk } }
  return { tenant: { ...quotaFields(own), erasedAt: value?.tenant?.erasedAt ?? null } }
}

const quotaFields = ({ documentsPerSecond, bytesPerSecond, embeddedTokensPerMinute }: OwnQuota): OwnQuota => ({
  documentsPerSecond,
  bytesPerSecond,
  embeddedTokensPerMinute,
})

const NONE: OwnQuota = { documentsPerSecond: null, bytesPerSecond: null, embeddedTokensPerMinute: null }
