import { auditPartition, type Finding } from './audit-partition.ts'
import { type AuditWorld, atFullSpeed, defaultBounds } from './world.ts'

/**
 * The anti-join: what the index serves of a partition and `documents` does not have (any more) is deleted, through `redo`. For
 * whoever cannot know that every deletion was seen, also while the marker is held back. Resolves when all is applied, with
 * the keys that were deleted, and those that could not be, each with the reason. Rejects with `Retry` when the log or the index is out of reach.
 */
export async function compareOrphans(
  world: AuditWorld,
  { partition, signal, waitMs = 30_000 }: { partition: number; signal: AbortSignal; waitMs?: number },
): Promise<{ readonly deleted: readonly string[]; readonly left: ReadonlyMap<string, string> }> {
  const findings: Finding[] = []
  await auditPartition(world, {
    partition,
    bounds: { ...defaultBounds, waitMs },
    pace: atFullSpeed,
    repair: true,
    renew: false,
    look: 'orphans',
    deep: null,
    signal,
    found: (finding) => findings.push(finding),
    progress() {},
  })
  return {
    deleted: findings.filter(({ state }) => state === 'repaired').map(({ key }) => key),
    left: new Map(findings.filter(({ state }) => state === 'left').map(({ key, detail }) => [key, detail])),
  }
}
