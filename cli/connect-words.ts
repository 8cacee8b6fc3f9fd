import type { ConnectorStatus } from '../connectors/kafka-connect/client.ts'
import type { Plan, Step } from '../connectors/kafka-connect/reconcile.ts'

/** A plan, as a person reads it. */
export function planLines({ steps, unchanged, undeclared }: Plan): string[] {
  return [
    ...steps.flatMap(stepLines),
    ...(steps.length === 0 ? ['nothing is to be changed'] : []),
    ...(unchanged.length > 0 ? [`= as declared: ${unchanged.join(', ')}`] : []),
    ...(undeclared.length > 0 ? [`? in Connect and in no file: ${undeclared.join(', ')} (--prune deletes)`] : []),
  ]
}

function stepLines(step: Step): string[] {
  if (step.kind === 'delete') return [`- delete ${step.name}`]
  if (step.kind === 'state') return [`~ ${step.name}: ${step.from} → ${step.to}`]
  const { connector, changes } = step
  const lines = changes.map(({ setting, from, to }) => {
    if (from === null) return `    + ${setting}: ${to}`
    return to === null ? `    - ${setting}: ${from}` : `    ~ ${setting}: ${from} → ${to}`
  })
  return [`${step.kind === 'create' ? '+ create' : '~ change'} ${connector.name} (${connector.file})`, ...lines]
}

/** How connectors are. */
export function statusLines(connectors: readonly ConnectorStatus[]): string[] {
  if (connectors.length === 0) return ['Connect has no connector; freshet connect apply makes some']
  return connectors.flatMap(({ name, kind, phase, cause, tasks }) => [
    `${name}  ${kind}  ${phase}${cause === null ? '' : `: ${cause}`}`,
    ...tasks.map(
      (task) => `  task ${task.id}  ${task.phase}  ${task.worker}${task.cause === null ? '' : `: ${task.cause}`}`,
    ),
  ])
}
