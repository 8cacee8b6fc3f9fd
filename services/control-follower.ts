import type { Control } from '../schemas/records.ts'
import { type Clock, systemClock } from '../streams/clock.ts'
import { Retry, reasonOf } from '../streams/errors.ts'
import type { States } from '../streams/states.ts'
import type { Table } from '../streams/table.ts'
import type { Outside } from './outside.ts'

/** `control`, read whole and then followed: once in a process, for all there who live by it. */
export interface ControlFollower {
  get(subject: string): Control | undefined
  entries(): Iterable<readonly [string, Control]>
  /** Told each change from now on, after `get` knows it. */
  changed(listener: Listener): void
  /** Resolves when all that is in the topic at the time of the call is known. */
  sync(): Promise<void>
  /** For how long it has not been certain that every decision is known, ms: decisions of so long ago may have been missed. */
  unheardMs(): number
  close(): Promise<void>
}

type Listener = (subject: string, value: Control | undefined) => void

export interface ControlOptions {
  /** Who follows, for the state that says that Kafka does not answer. */
  readonly subject: string
  readonly states: States
  /** From then on what is known is not believed any more: said in the state. */
  readonly unheardMsMax: number
  readonly clock?: Clock
  failed(error: Error): void
}

/** `open`: as `Outside` does it. */
export async function followControl(
  open: (options: Parameters<Outside['control']>[1]) => Promise<Table<Control>>,
  { subject, states, unheardMsMax, failed, clock = systemClock }: ControlOptions,
): Promise<ControlFollower> {
  const listeners: Listener[] = []
  const table = await open({
    failed,
    changed(key, value) {
      for (const listener of listeners) listener(key, value)
    },
  })
  await table.sync()
  let heardAt = clock.now()
  const unheardMs = () => clock.now() - heardAt
  const closed = new AbortController()

  const look = async (): Promise<void> => {
    const asked = clock.now()
    const late = new AbortController()
    try {
      const isLate = clock.wait(ANSWER_MS_MAX, late.signal).then(() => 'late' as const)
      if ((await Promise.race([table.sync(), isLate])) === 'late') throw new Retry('Kafka does not send what is in it')
      heardAt = asked
      states.clear('control-unheard', subject)
    } catch (error) {
      if (!(error instanceof Retry)) return failed(error as Error)
      if (unheardMs() < SAID_AFTER_MS) return
      const detail = `control was last read to its end ${Math.round(unheardMs() / 1_000)} s ago, and is believed for ${Math.round(unheardMsMax / 1_000)} s: ${reasonOf(error)}`
      states.raise('control-unheard', subject, detail, { blocking: unheardMs() > unheardMsMax })
    } finally {
      late.abort()
    }
  }
  const looking = (async () => {
    while (!closed.signal.aborted) {
      await clock.wait(LOOK_EVERY_MS, closed.signal)
      if (!closed.signal.aborted) await look()
    }
  })()
  looking.catch(failed)

  return {
    get: table.get,
    entries: table.entries,
    sync: table.sync,
    changed: (listener) => void listeners.push(listener),
    unheardMs,
    async close() {
      closed.abort()
      await table.close()
    },
  }
}

const LOOK_EVERY_MS = 2_000
const ANSWER_MS_MAX = 5_000
/** A look or two that fails is daily life. */
const SAID_AFTER_MS = 6_000
