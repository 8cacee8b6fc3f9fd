import { setTimeout as delay } from 'node:timers/promises'
import type { ConnectClient, ConnectorStatus } from './client.ts'
import type { Plan } from './reconcile.ts'

export interface StepOutcome {
  readonly name: string
  readonly outcome: 'runs' | 'failed' | 'paused' | 'stopped' | 'deleted' | 'does not run yet'
  /** Null: all is well. */
  readonly cause: string | null
}

/** What Connect has against what is to be written, by connector. Asked before anything is changed, since half a folder is no state that anybody wants. */
export async function refusals({ steps }: Plan, client: Pick<ConnectClient, 'validate'>): Promise<string[]> {
  const refused: string[] = []
  for (const step of steps) {
    if (step.kind !== 'create' && step.kind !== 'update') continue
    const { connector } = step
    const faults = await client.validate(connector).catch((error: Error) => [error.message])
    refused.push(...faults.map((fault) => `${connector.file}: ${fault}`))
  }
  return refused
}

/** Takes the steps in order, and says of each connector what became of it once it runs, has failed or the time is over. */
export async function carryOut({ steps }: Plan, client: ConnectClient, msMax = RUNS_MS_MAX): Promise<StepOutcome[]> {
  const names = new Set<string>()
  const changed = steps.flatMap((step) => (step.kind === 'update' ? step.connector.name : []))
  const former = await outcomesOf(changed, client)
  const deleted: StepOutcome[] = []
  for (const step of steps) {
    if (step.kind === 'delete') {
      await client.delete(step.name)
      deleted.push({ name: step.name, outcome: 'deleted', cause: null })
      continue
    }
    if (step.kind === 'state') {
      names.add(step.name)
      await client.setState(step.name, step.to)
      continue
    }
    names.add(step.connector.name)
    await client.put(step.connector)
  }
  return [...(await settled([...names], former, client, msMax)), ...deleted]
}

async function settled(
  names: readonly string[],
  former: readonly StepOutcome[],
  client: ConnectClient,
  msMax: number,
): Promise<StepOutcome[]> {
  const began = performance.now()
  // A task that had failed before it was changed is told as failed until Connect gets to it.
  const isOld = ({ name, cause }: StepOutcome, afterMs: number) =>
    afterMs < OLD_MS_MAX &&
    former.some((each) => each.name === name && each.outcome === 'failed' && each.cause === cause)
  for (;;) {
    const outcomes = await outcomesOf(names, client)
    const afterMs = performance.now() - began
    const open = outcomes.filter((each) => each.outcome === 'does not run yet' || isOld(each, afterMs))
    if (open.length === 0 || afterMs > msMax) return outcomes
    await delay(LOOK_EVERY_MS)
  }
}

async function outcomesOf(names: readonly string[], client: ConnectClient): Promise<StepOutcome[]> {
  const present = names.length === 0 ? [] : await client.connectors()
  return names.map((name) =>
    outcomeOf(
      name,
      present.find((each) => each.name === name),
    ),
  )
}

/** Pure. */
export function outcomeOf(name: string, status: ConnectorStatus | undefined): StepOutcome {
  const waits = (cause: string): StepOutcome => ({ name, outcome: 'does not run yet', cause })
  if (status === undefined) return waits('Connect does not know it yet; look again: freshet connect status')
  const causes = [status.cause, ...status.tasks.map(({ cause }) => cause)].filter((cause) => cause !== null)
  const failed = status.phase === 'FAILED' || status.tasks.some(({ phase }) => phase === 'FAILED')
  if (failed) return { name, outcome: 'failed', cause: causes[0] ?? 'Connect does not say why' }
  if (status.state !== 'running') return { name, outcome: status.state, cause: null }
  const runs = status.phase === 'RUNNING' && status.tasks.length > 0
  if (runs && status.tasks.every(({ phase }) => phase === 'RUNNING')) return { name, outcome: 'runs', cause: null }
  return waits('its tasks have not begun; look again: freshet connect status')
}

const RUNS_MS_MAX = 30_000
const OLD_MS_MAX = 10_000
const LOOK_EVERY_MS = 200
