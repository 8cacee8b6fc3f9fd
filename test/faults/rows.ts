import { kill } from './f01-kill.ts'
import { troubledIndex } from './f12-troubled-index.ts'
import { restoredIndex } from './f14-restored-index.ts'
import { redelivery } from './f16-redelivery.ts'
import type { Row } from './row.ts'

/** The campaign, in the order of the table of faults. */
export const rows: readonly Row[] = [kill, troubledIndex, restoredIndex, redelivery]
