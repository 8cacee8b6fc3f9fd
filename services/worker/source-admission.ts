import { tenantKey } from '../../maintenance/erasure-tenant.ts'
import { isDocumentKey, tenantOf } from '../../processors/document-key.ts'
import type { Mapping } from '../../processors/mapping/declaration.ts'
import type { Control } from '../../schemas/records.ts'
import type { Hold } from '../../streams/holding.ts'
import type { Arrived } from '../../streams/processor.ts'
import { overQuota, type Payer, type Quota, QuotaBuckets, quotaOf, sourceKey, tokensIn } from '../quotas.ts'

export interface SourceAdmissionPorts {
  /** What `control` says, now. */
  control(subject: string): Control | undefined
  /** Of who has none of its own. */
  readonly configured: { readonly tenant: Quota; readonly source: Quota }
  readonly bulk: BulkRoom
  /** How topics of others become documents, by name. */
  readonly mappings?: ReadonlyMap<string, Mapping>
  readonly now: () => number
}

/** How many records of bulk sources may still go on; see `bulk-room.ts`. */
export interface BulkRoom {
  readonly left: number
  /** Why there is none. */
  readonly reason: string
  took(): void
}

export interface SourceAdmission {
  /** As `IngestPorts` has it. */
  admit(arrived: Arrived): Hold | null
  left: QuotaBuckets['left']
}

/**
 * What `ingest` lets into `documents`. A record pays for its tenant and for its source, before it is decoded: what it costs is what it weighs. A
 * process admits its part of a quota, by what it has of the partitions; all together never admit more than the quota.
 */
export function sourceAdmission({ control, configured, bulk, mappings, now }: SourceAdmissionPorts): SourceAdmission {
  const spent = new QuotaBuckets()
  return {
    admit({ topic, record, part }) {
      const source = control(sourceKey(topic.name))?.source ?? null
      const mapping = mappings?.get(topic.name)
      const isBulk = source?.bulk ?? mapping?.priority === 'bulk'
      if (isBulk && bulk.left < 1) return { state: 'bulk-waits', reason: bulk.reason, retryAfterMs: 0 }
      const ofSource = { name: `source ${topic.name}`, quota: quotaOf(source, configured.source), share: part.ofTopic }
      const tenant = mapping === undefined ? tenantIn(record.key) : fixedTenantOf(mapping)
      const payers: Payer[] = [ofSource]
      // A key without a tenant is a dead letter, and its source pays for it.
      if (tenant !== null) {
        const quota = quotaOf(control(tenantKey(tenant))?.tenant, configured.tenant)
        payers.push({ name: `tenant ${tenant}`, quota, share: part.ofStage })
      }
      const over = spent.take(payers, costOf(record), now())
      if (over === null) {
        if (isBulk) bulk.took()
        return null
      }
      const { retryAfterMs } = over.taken
      return { state: 'over-quota', reason: `${overQuota(over)}${ofPart(over.payer)}`, retryAfterMs }
    },
    left: (at) => spent.left(at),
  }
}

const tenantIn = (key: Buffer | null): string | null => (isDocumentKey(key) ? tenantOf(key!.toString('utf8')) : null)

/** Whose a row is may be known only once it is read: then its source alone pays. */
const fixedTenantOf = ({ tenant }: Mapping): string | null => (typeof tenant === 'string' ? tenant : null)

const costOf = ({ key, value }: Arrived['record']) => ({
  documents: 1,
  bytes: (key?.length ?? 0) + (value?.length ?? 0),
  embeddedTokens: tokensIn(value?.length ?? 0),
})

const ofPart = ({ share }: Payer): string =>
  share === 1 ? '' : `, of which ${Math.round(share * 100)} % is this worker's, as of the partitions`
