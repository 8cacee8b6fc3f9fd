import type { Receipt } from '../schemas/records.ts'
import { deadLetters, indexed } from '../schemas/topics.ts'
import type { Broker, Fetched } from '../streams/broker.ts'
import { type DeadLetter, replayOf } from '../streams/dead-letters.ts'
import type { Serde } from '../streams/serde.ts'
import { nameIn, type Scope } from '../streams/topic.ts'
import type { Entry } from './dead-letters.ts'

/** What is heard of a replay. */
export type Word = { readonly receipt: Receipt } | { readonly letter: DeadLetter }

/** Hears, from now on, the receipts and dead letters that say whose replay they are about. */
export async function listen(
  entries: readonly Entry[],
  { broker, serde, scope }: { broker: Broker; serde: Serde; scope: Scope },
): Promise<{ of(id: string): Promise<Word>; readonly through: number; close(): Promise<void> }> {
  const words = new Map(entries.map(({ id }) => [id, Promise.withResolvers<Word>()]))
  for (const { promise } of words.values()) promise.catch(() => {})
  const receipts = nameIn(scope, indexed)
  const letters = nameIn(scope, deadLetters)
  const through = (await broker.admin.offsets(letters))[0]!.end
  const failed = (error: Error) => {
    for (const { reject } of words.values()) reject(error)
  }
  const hear = async ({ topic, records }: Fetched) => {
    for (const { headers, value } of records) {
      if (value === null) continue
      if (topic === receipts) {
        const id = replayOf(headers)
        if (id === null || !words.has(id)) continue
        const receipt = (await serde.decode(indexed, value)) as Receipt
        // A rejection has a letter too, which says more.
        if (receipt.outcome !== 'rejected') words.get(id)!.resolve({ receipt })
        continue
      }
      const letter = (await serde.decode(deadLetters, value)) as DeadLetter
      const id = replayOf(letter.headers)
      if (id === null || !words.has(id)) continue
      words.get(id)!.resolve({ letter })
    }
  }
  const tail = await broker.tail({
    topics: [receipts, letters],
    from: 'end',
    failed,
    fetched: (batch) => void hear(batch).catch(failed),
  })
  return { of: (id) => words.get(id)!.promise, through, close: () => tail.close() }
}
