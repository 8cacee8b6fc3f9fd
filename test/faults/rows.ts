import { kill, killWithDefaults } from './f01-kill.ts'
import { freeze, freezeModel } from './f02-freeze.ts'
import { rollingRestart } from './f03-rolling-restart.ts'
import { broker } from './f04-broker.ts'
import { lostAnswers } from './f06-lost-answers.ts'
import { partition } from './f08-partition.ts'
import { rebalanceStorm } from './f09-rebalance-storm.ts'
import { indexOutage } from './f11-index-outage.ts'
import { troubledIndex } from './f12-troubled-index.ts'
import { killedIndex } from './f13-killed-index.ts'
import { restoredIndex } from './f14-restored-index.ts'
import { fullDiskOfKafka, fullDiskOfQdrant } from './f15-full-disk.ts'
import { redelivery } from './f16-redelivery.ts'
import { shuffledRevisions } from './f17-shuffled-revisions.ts'
import { lateUpsert } from './f18-late-upsert.ts'
import { lostTombstones } from './f19-lost-tombstones.ts'
import { otherDocuments } from './f20-other-documents.ts'
import { outOfRange } from './f20-out-of-range.ts'
import { poison } from './f21-poison.ts'
import { lettersUnavailable } from './f22-letters-unavailable.ts'
import { thrownErrors } from './f23-thrown-errors.ts'
import { registryGone } from './f24-registry.ts'
import { badModel } from './f25-bad-model.ts'
import { clocks } from './f27-clocks.ts'
import { badClients } from './f28-bad-clients.ts'
import { stalledLoop } from './f29-stalled-loop.ts'
import { deadlyRecord } from './f30-deadly-record.ts'
import { lostReceipts } from './f31-lost-receipts.ts'
import type { Row } from './row.ts'

/** The campaign, in the order of the table of faults. */
export const rows: readonly Row[] = [
  kill,
  killWithDefaults,
  freeze,
  freezeModel,
  rollingRestart,
  broker,
  lostAnswers,
  partition,
  rebalanceStorm,
  indexOutage,
  troubledIndex,
  killedIndex,
  restoredIndex,
  fullDiskOfKafka,
  fullDiskOfQdrant,
  redelivery,
  shuffledRevisions,
  lateUpsert,
  lostTombstones,
  outOfRange,
  otherDocuments,
  poison,
  lettersUnavailable,
  thrownErrors,
  registryGone,
  badModel,
  clocks,
  badClients,
  stalledLoop,
  deadlyRecord,
  lostReceipts,
]
