import type { QueryRole, Role } from '../platform.ts'
import { type Caller, callAlong } from './callers.ts'
import type { Context, Row } from './row.ts'

const rounds = { fast: 1, full: 3 }
const DRAIN_SECONDS_MAX = 30

/** What is asked to end ends in time, with its work done, and nobody who asks it something gets an error. */
export const rollingRestart: Row = {
  id: 'F3',
  title: 'SIGTERM of every worker and query service in turn, each after its successor is there',
  sets: ['full'],
  async run(context) {
    const { set, load, workers, queries, startWorker, startQuery, healed, count, expect } = context
    await load.write(100)
    const flow = load.flow(80)
    const callers = queries.map((query) => callAlong(query.url))
    for (let round = 0; round < rounds[set]; round++) {
      for (const worker of [...workers]) {
        await startWorker()
        await ended(context, worker)
      }
      for (const [i, query] of [...queries].entries()) {
        const successor = await startQuery(query)
        callers[i]!.next(successor.url)
        await ended(context, query)
      }
    }
    await flow.stop()
    const told = await Promise.all(callers.map((caller: Caller) => caller.stop()))
    const errors = told.flatMap((each) => each.errors)
    count(
      'calls',
      told.reduce((sum, { calls }) => sum + calls, 0),
    )
    count(
      'calls by a connection that was told to leave',
      told.reduce((sum, { moves }) => sum + moves, 0),
    )
    expect(
      told.every(({ calls, moves }) => calls > 0 && moves > 0),
      'nobody called across a restart: the row says nothing',
    )
    expect(errors.length === 0, `${errors.length} calls got an error, the first: ${errors[0]}`)
    await healed()
  },
}

async function ended({ signal, most, expect }: Context, role: Role | QueryRole): Promise<void> {
  const began = performance.now()
  await signal(role, 'SIGTERM')
  const seconds = (performance.now() - began) / 1_000
  const how = await role.ended
  most(`seconds until a ${role.name} had ended`, seconds)
  expect(seconds <= DRAIN_SECONDS_MAX, `a ${role.name} took ${seconds.toFixed(1)} s to end`)
  expect(how === 'ended with exit code 0', `a ${role.name} ${how}`)
}
