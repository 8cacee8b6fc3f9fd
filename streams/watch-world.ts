import type { TopicPartition } from './broker.ts'
import type { Clock } from './clock.ts'
import { Retry, reasonOf } from './errors.ts'
import type { Processor } from './processor.ts'
import { type StateName, type States, subjectOf } from './states.ts'

interface WatchContext<Ports> {
  readonly processor: Processor<Ports>
  readonly ports: Ports
  readonly clock: Clock
  readonly states: States
  stopped(error: Error): void
}

/** Looks at the world now and then while nothing is under way, as the processor declares, until the signal is aborted. */
export async function watchWorld<Ports>(
  at: TopicPartition,
  { processor, ports, clock, states, stopped }: WatchContext<Ports>,
  { busy, tellAgain, signal }: { busy(): boolean; tellAgain(): void; signal: AbortSignal },
): Promise<void> {
  if (processor.watch === undefined) return
  const subject = subjectOf({ processor: processor.name, ...at })
  let unwell: StateName | null = null
  for (;;) {
    await clock.wait(processor.watch.everyMs, signal)
    if (signal.aborted) return
    if (busy()) continue
    try {
      const again = await processor.watch.check(at.partition, ports)
      if (again && !signal.aborted) tellAgain()
      if (unwell !== null) states.clear(unwell, subject)
      unwell = null
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof Retry)) return stopped(error as Error)
      unwell = error.state
      if (unwell !== null) states.raise(unwell, subject, reasonOf(error))
    }
  }
}
