import { type Ledger, ledgerPath, openLedger } from '../connectors/files/ledger.ts'
import type { Problem } from '../connectors/files/list.ts'
import { tryLock } from '../infra/local/lock.js'
import { type LocalSettings, localSettings } from '../infra/local/settings.ts'

export interface Ledgers {
  /** Opened once, and kept from other processes until `close`. Throws where another process has it. */
  of(root: string): Ledger
  readonly problems: readonly Problem[]
  close(): void
}

/** The ledgers of a run, in the data folder. */
export function openLedgers({ dataDir }: Pick<LocalSettings, 'dataDir'> = localSettings(process.env)): Ledgers {
  const open = new Map<string, Ledger>()
  const problems: Problem[] = []
  const releases: (() => void)[] = []
  return {
    problems,
    of(root) {
      const known = open.get(root)
      if (known !== undefined) return known
      const { release, holder } = tryLock(`${ledgerPath(dataDir, root)}.lock`)
      if (release === undefined)
        throw new Error(`another freshet ingest (process ${holder}) is at ${root}; wait for it, or end it`)
      releases.push(release)
      const ledger = openLedger(dataDir, root)
      if (ledger.damaged)
        problems.push({
          path: root,
          reason:
            'the record of what was ingested before is damaged; everything is published again, and nothing is deleted',
        })
      open.set(root, ledger)
      return ledger
    },
    close() {
      for (const release of releases) release()
    },
  }
}
