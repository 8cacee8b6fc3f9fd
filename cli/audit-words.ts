import type { AuditReport, Counts } from '../maintenance/audit.ts'
import { faultKinds } from '../maintenance/findings.ts'

/** A report for people. */
export function auditLines(
  { collection, inSync, token, documents, chunks, kinds, behind, cost }: AuditReport,
  { repair, renew }: { readonly repair?: boolean; readonly renew?: boolean },
): string[] {
  const rows = Object.entries(kinds).filter(([, { found }]) => found > 0)
  const left = faultKinds.reduce((sum, kind) => sum + kinds[kind].found - kinds[kind].repaired, 0)
  const megabytes = (cost.bytes / 1e6).toFixed(1)
  return [
    `${collection}: compared ${documents} documents, ${chunks} chunks`,
    ...(rows.length === 0 ? [] : [HEAD, ...rows.flatMap(([kind, counts]) => rowsOf(kind, counts))]),
    `read ${cost.records} records of documents (${megabytes} MB) and ${cost.points} points of the index in ${cost.seconds.toFixed(1)} s`,
    ...behind,
    inSync ? `in sync as of ${token}` : notInSync(left, behind.length, repair === true),
    ...(inSync && kinds.older.found > kinds.older.repaired && !renew
      ? ['what an older version made answers all the same; freshet audit --renew derives it again']
      : []),
  ]
}

const HEAD = 'kind            found  repaired      left'

function rowsOf(kind: string, { found, repaired, left, examples }: Counts): string[] {
  const numbers = [found, repaired, left].map((count, i) => String(count).padStart(i === 0 ? 5 : 10)).join('')
  return [`${kind.padEnd(14)}  ${numbers}`, ...examples.map((example) => `  ${example}`)]
}

function notInSync(left: number, behind: number, repair: boolean): string {
  const why = [
    ...(left > 0 ? [`${left} difference${left === 1 ? '' : 's'}${repair ? ' left' : ''}`] : []),
    ...(behind > 0 ? [`${behind} partition${behind === 1 ? '' : 's'} behind`] : []),
  ]
  return `not in sync: ${why.join(', ')}${left > 0 && !repair ? '; freshet audit --repair derives them again' : ''}`
}

/** On a terminal one line that changes. */
export function auditProgress(out: NodeJS.WriteStream): { at(share: number): void; close(): void } {
  let drawn = false
  return {
    at(share) {
      if (!out.isTTY) return
      drawn = true
      out.write(`\r\x1b[2Kcomparing, ${Math.floor(share * 100)} %`)
    },
    close() {
      if (drawn) out.write('\r\x1b[2K')
    },
  }
}
