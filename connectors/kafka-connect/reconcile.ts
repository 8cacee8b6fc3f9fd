import type { ConnectorState, DeclaredConnector } from './declared.ts'
import { shownValue } from './secrets.ts'

/** A connector as Connect has it. */
export interface ActualConnector {
  readonly name: string
  readonly state: ConnectorState
  readonly config: Readonly<Record<string, string>>
}

/** One thing that makes what is into what is wanted. What a step shows holds no secret. */
export type Step =
  | { readonly kind: 'create'; readonly connector: DeclaredConnector; readonly changes: readonly Change[] }
  | { readonly kind: 'update'; readonly connector: DeclaredConnector; readonly changes: readonly Change[] }
  | { readonly kind: 'state'; readonly name: string; readonly from: ConnectorState; readonly to: ConnectorState }
  | { readonly kind: 'delete'; readonly name: string }

/** Null: the setting is not there. */
export interface Change {
  readonly setting: string
  readonly from: string | null
  readonly to: string | null
}

export interface Plan {
  readonly steps: readonly Step[]
  readonly unchanged: readonly string[]
  /** In Connect and in no file: left alone unless they are to be pruned. */
  readonly undeclared: readonly string[]
}

/** Pure: what is to be done, in order. */
export function planOf(
  declared: readonly DeclaredConnector[],
  actual: readonly ActualConnector[],
  { prune = false }: { prune?: boolean } = {},
): Plan {
  const steps: Step[] = []
  const unchanged: string[] = []
  for (const connector of declared) {
    const present = actual.find(({ name }) => name === connector.name)
    const changes = changesBetween(present?.config ?? {}, connector.config)
    const before = steps.length
    if (present === undefined) steps.push({ kind: 'create', connector, changes })
    else if (changes.length > 0) steps.push({ kind: 'update', connector, changes })
    const from = present?.state ?? 'running'
    if (connector.state !== null && connector.state !== from)
      steps.push({ kind: 'state', name: connector.name, from, to: connector.state })
    if (steps.length === before) unchanged.push(connector.name)
  }
  const undeclared = actual.map(({ name }) => name).filter((name) => !declared.some((each) => each.name === name))
  if (prune) steps.push(...undeclared.map((name): Step => ({ kind: 'delete', name })))
  return { steps, unchanged, undeclared: prune ? [] : undeclared }
}

function changesBetween(from: Readonly<Record<string, string>>, to: Readonly<Record<string, string>>): Change[] {
  const names = [...new Set([...Object.keys(from), ...Object.keys(to)])].sort()
  // Connect puts the name into what it keeps.
  return names
    .filter((name) => name !== 'name' && from[name] !== to[name])
    .map((setting) => ({ setting, from: shownOf(setting, from[setting]), to: shownOf(setting, to[setting]) }))
}

const shownOf = (setting: string, value: string | undefined): string | null =>
  value === undefined ? null : shownValue(setting, value)
