import type { CollectionState, SpaceModel } from '../schemas/records.ts'
import type { AuditReport } from './audit.ts'
import { LOOK_EVERY_MS, type Report, VERIFICATIONS_MAX } from './rebuild-loop.ts'
import { nextRolloutStep, type RolloutFacts, type RolloutGoal, type RolloutStep } from './rollout.ts'

/** What the loop needs of the world. All writes are acknowledged, and seen by the next `facts()`. */
export interface RolloutWorld {
  facts(): Promise<RolloutFacts>
  know(space: string, model: SpaceModel): Promise<void>
  declare(collection: string, state: CollectionState): Promise<void>
  serve(step: Extract<RolloutStep, { do: 'serve' }>): Promise<void>
  /** Deletes the collection from Qdrant, and writes tombstones for what it has published. */
  remove(collection: string): Promise<void>
  /** Compares with `documents`; repairs what differs, and waits until the repairs are applied. */
  verify(collection: string, signal: AbortSignal): Promise<AuditReport>
  wait(ms: number, signal: AbortSignal): Promise<void>
}

/** Takes step after step until the goal is reached. Whenever it is stopped, however, another one goes on. */
export async function runRollout(
  goal: RolloutGoal,
  world: RolloutWorld,
  said: (step: RolloutStep, facts: RolloutFacts) => void,
  signal: AbortSignal,
): Promise<Report> {
  const verifications: AuditReport[] = []
  for (;;) {
    signal.throwIfAborted()
    const facts = await world.facts()
    const step = nextRolloutStep(goal, facts)
    said(step, facts)
    switch (step.do) {
      case 'know':
        await world.know(step.space, step.model)
        break
      case 'declare':
        await world.declare(step.collection, step.state)
        break
      case 'serve':
        await world.serve(step)
        break
      case 'remove':
        await world.remove(step.collection)
        break
      case 'wait':
        await world.wait(LOOK_EVERY_MS, signal)
        break
      case 'verify': {
        const report = await world.verify(step.collection, signal)
        verifications.push(report)
        if (report.inSync) await world.declare(step.collection, { ...step.verified, asOf: report.token })
        else if (verifications.filter(({ behind }) => behind.length === 0).length === VERIFICATIONS_MAX)
          throw new Error(
            `${step.collection} differs from documents after ${VERIFICATIONS_MAX} repairs; freshet audit --collection ${step.collection} says how, freshet models abort removes it`,
          )
        break
      }
      case 'done':
      case 'refuse':
        return { outcome: step.do === 'done' ? 'done' : 'refused', say: step.say, verifications }
    }
  }
}
