import type { Redo } from '../schemas/records.ts'
import { deadLetters, documents, redo } from '../schemas/topics.ts'
import type { Broker, StoredRecord } from '../streams/broker.ts'
import type { DeadLetter } from '../streams/dead-letters.ts'
import { Reject, Retry } from '../streams/errors.ts'
import type { Serde } from '../streams/serde.ts'
import { nameIn, type Scope } from '../streams/topic.ts'
import { type Entry, fold, type Letter, letterOf } from './dead-letters.ts'

export interface LetterLog {
  readonly broker: Pick<Broker, 'admin' | 'read'>
  readonly serde: Serde
  readonly scope: Scope
}

export interface Letters {
  /** By id, those of the latest letters last. */
  readonly entries: ReadonlyMap<string, Entry>
  /** The end of `dead-letters` when it was read: what lies there or later is not among them. */
  readonly end: number
  /** Letters that were not kept, since there were more than `ENTRIES_MAX`; the oldest ones. */
  readonly dropped: number
  /** Records of the topic that nobody can read. */
  readonly unreadable: number
}

/**
 * Reads all that is in `dead-letters` now, without keeping the bytes of the letters. `progressed` is told offsets done and in
 * all. A later letter of an entry moves it to the end, so that the oldest are the ones that are dropped.
 */
export async function readLetters(
  log: LetterLog,
  { signal, progressed }: { signal?: AbortSignal; progressed?: (done: number, all: number) => void } = {},
): Promise<Letters> {
  const topic = nameIn(log.scope, deadLetters)
  const [range] = await log.broker.admin.offsets(topic)
  if (range === undefined) throw new Error(`topic ${topic} does not exist; freshet up creates it`)
  const { start, end } = range
  const entries = new Map<string, Entry>()
  let dropped = 0
  let unreadable = 0
  const read = { topic, partition: 0, from: start, to: end, ...(signal && { signal }) }
  for await (const fetched of log.broker.read(read)) {
    for (const record of fetched.records) {
      const letter = await letterIn(record, log)
      if (letter === null) {
        unreadable++
        continue
      }
      const before = entries.get(letter.entry)
      fold(entries, letter)
      const folded = entries.get(letter.entry)!
      if (before !== undefined) {
        entries.delete(letter.entry)
        entries.set(letter.entry, folded)
      }
      if (entries.size > ENTRIES_MAX) {
        const [oldest] = entries.keys()
        dropped += entries.get(oldest!)!.count
        entries.delete(oldest!)
      }
    }
    progressed?.(fetched.next - start, end - start)
  }
  return { entries, end, dropped, unreadable }
}

/** About 1 KiB each. */
const ENTRIES_MAX = 100_000

/** One letter whole, with the bytes of its record. */
export async function readLetter(log: LetterLog, at: number): Promise<DeadLetter> {
  const topic = nameIn(log.scope, deadLetters)
  const record = await recordAt(log.broker, { topic, partition: 0, offset: at })
  if (record?.value == null) {
    throw new Error(`${topic} 0/${at} is not there any more: letters are kept for a time`)
  }
  return (await log.serde.decode(deadLetters, record.value)) as DeadLetter
}

/** The record at this offset, or null where none is (any more). */
export async function recordAt(
  broker: Pick<Broker, 'read'>,
  { topic, partition, offset }: { topic: string; partition: number; offset: number },
): Promise<StoredRecord | null> {
  for await (const { records } of broker.read({ topic, partition, from: offset, to: offset + 1 })) {
    const found = records.find((record) => record.offset === offset)
    if (found !== undefined) return found
  }
  return null
}

async function letterIn(record: StoredRecord, { serde, scope }: LetterLog): Promise<Letter | null> {
  if (record.value === null) return null
  try {
    const letter = (await serde.decode(deadLetters, record.value)) as DeadLetter
    return letterOf(letter, record, await revisionOf(letter, serde, scope))
  } catch (error) {
    if (error instanceof Reject) return null
    throw error
  }
}

/** The offset in `documents` that the refused record is about; null where it names none. */
export async function revisionOf(letter: DeadLetter, serde: Serde, scope: Scope): Promise<number | null> {
  if (letter.topic === nameIn(scope, documents)) return letter.offset
  if (letter.topic === nameIn(scope, redo)) {
    if (letter.value === null) return null
    try {
      return ((await serde.decode(redo, letter.value)) as Redo).offset
    } catch (error) {
      if (error instanceof Reject || error instanceof Retry) return null
      throw error
    }
  }
  const [, offset] = (letter.headers.position?.toString('latin1') ?? '').split(':').map(Number)
  return offset !== undefined && Number.isSafeInteger(offset) ? offset : null
}
