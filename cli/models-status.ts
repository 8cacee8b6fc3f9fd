import { Command } from 'commander'
import { lagOf, type RolloutFacts } from '../maintenance/rollout.ts'
import { spaceOfCollection } from '../processors/collections.ts'
import { withRollingOut } from './rolling-out.ts'

export interface ModelStatus {
  /** NAME@VERSION; null: not written down. */
  readonly model: string | null
  readonly space: string
  readonly collection: string
  readonly state: string
  /** Answers everybody but those of a canary. */
  readonly serving: boolean
  /** Whom it answers besides; null: nobody. */
  readonly canary: { readonly percent: number; readonly by: string; readonly tenants: readonly string[] } | null
  readonly since: string | null
  /** Positions of documents that it does not have yet. */
  readonly lag: number
  readonly behind: string | null
}

export function modelsStatus(): Command {
  return new Command('status')
    .description('Shows the models that are kept: which one answers, which is on its way, how far behind it is.')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet models status')
    .action(({ json }: { json?: true }) =>
      withRollingOut(async (world) => {
        const rows = modelStatuses(await world.facts())
        console.log(json ? JSON.stringify(rows, null, 2) : rows.map(lineOf).join('\n'))
      }),
    )
}

export function modelStatuses(facts: RolloutFacts): ModelStatus[] {
  const { serving, servingSince, canary, states, spaces, prefix } = facts
  const kept = [...states].flatMap(([collection, { state }]) => (state === 'removed' ? [] : [collection]))
  return [...new Set([serving.collection, ...kept])].map((collection) => {
    const space = spaceOfCollection(collection, prefix)!
    const model = spaces.get(space)
    const isServing = collection === serving.collection
    const state = states.get(collection)
    const since = isServing ? servingSince : (state?.since ?? null)
    return {
      model: model === undefined ? null : `${model.model}@${model.version}`,
      space,
      collection,
      state: isServing ? 'serving' : (state?.state ?? 'unknown'),
      serving: isServing,
      canary:
        canary?.collection === collection ? { percent: canary.percent, by: canary.by, tenants: canary.tenants } : null,
      since: since === null ? null : new Date(since).toISOString(),
      lag: lagOf(collection, facts).left,
      behind: state?.behind ?? null,
    }
  })
}

export function lineOf({ model, collection, state, canary, since, lag, behind }: ModelStatus): string {
  const whom =
    canary === null
      ? null
      : `answers ${[canary.percent > 0 ? `${canary.percent} % by ${canary.by}` : '', ...canary.tenants].filter((each) => each !== '').join(', ')}`
  const notes = [whom, since === null ? null : `since ${since}`, behind === null ? null : `stays behind ${behind}`]
  return `${state.padEnd(10)} ${(model ?? '?').padEnd(24)} ${String(lag).padStart(8)} behind documents  ${[collection, ...notes.filter((note) => note !== null)].join(', ')}`
}
