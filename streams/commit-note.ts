import type { Crashes } from './crashes.ts'
import { type StateName, stateKinds } from './states.ts'

/** What a task notes with each offset that it commits, so that the next one knows more of the place than its number. */
export interface CommitNote extends Crashes {
  /** Kafka's id of the topic that the offset counts in. */
  readonly topicId: string
  /** Everything that was written before this lies before the offset, ms since 1970; 0: not known. */
  readonly at: number
  /** The state that holds the watermark at this place. */
  readonly held: StateName | null
}

/** Well below the 4,096 bytes that Kafka keeps. */
export function encodeNote({ topicId, at, held, starts, by, until, record }: CommitNote): string {
  return JSON.stringify({
    topicId,
    at,
    ...(held !== null && { held }),
    ...(starts > 0 && { starts, by, record }),
    ...(until >= 0 && { until }),
  })
}

/** null for what others wrote, or nobody. */
export function decodeNote(metadata: string): CommitNote | null {
  const note = parsed(metadata)
  if (note === null || typeof note.topicId !== 'string' || typeof note.at !== 'number') return null
  const { topicId, at, held, starts, by, until, record } = note
  return {
    topicId,
    at,
    held: typeof held === 'string' && held in stateKinds ? (held as StateName) : null,
    starts: typeof starts === 'number' ? starts : 0,
    by: typeof by === 'string' ? by : '',
    until: typeof until === 'number' ? until : -1,
    record: typeof record === 'number' ? record : -1,
  }
}

function parsed(metadata: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(metadata)
    return typeof value === 'object' ? (value as Record<string, unknown> | null) : null
  } catch {
    return null
  }
}
