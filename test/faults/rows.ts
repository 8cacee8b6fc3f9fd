import { kill } from './f01-kill.ts'
import { freeze, freezeModel } from './f02-freeze.ts'
import { rebalanceStorm } from './f09-rebalance-storm.ts'
import { troubledIndex } from './f12-troubled-index.ts'
import { restoredIndex } from './f14-restored-index.ts'
import { redelivery } from './f16-redelivery.ts'
import { shuffledRevisions } from './f17-shuffled-revisions.ts'
import { lateUpsert } from './f18-late-upsert.ts'
import { poison } from './f21-poison.ts'
import { clocks } from './f27-clocks.ts'
import { stalledLoop } from './f29-stalled-loop.ts'
import type { Row } from './row.ts'

/** The campaign, in the order of the table of faults. */
export const rows: readonly Row[] = [
  kill,
  freeze,
  freezeModel,
  rebalanceStorm,
  troubledIndex,
  restoredIndex,
  redelivery,
  shuffledRevisions,
  lateUpsert,
  poison,
  clocks,
  stalledLoop,
]
