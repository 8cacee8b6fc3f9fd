import type { CollectionState } from '../schemas/records.ts'
import type { AuditReport } from './audit.ts'
import { type Facts, type Goal, nextStep, type Step } from './rebuild.ts'

/** What the loop needs of the world. All writes are acknowledged, and seen by the next `facts()`. */
export interface RebuildWorld {
  facts(): Promise<Facts>
  declare(collection: string, state: CollectionState): Promise<void>
  serve(collection: string): Promise<void>
  /** Deletes the collection from Qdrant, and writes tombstones for what it has published. */
  remove(collection: string): Promise<void>
  /** Compares with `documents`; repairs what differs, and waits until the repairs are applied. */
  verify(collection: string, signal: AbortSignal): Promise<AuditReport>
  wait(ms: number, signal: AbortSignal): Promise<void>
}

export interface Report {
  readonly outcome: 'done' | 'refused'
  readonly say: string
  readonly verifications: readonly AuditReport[]
}

/** Takes step after step until the goal is reached. Whenever it is stopped, however, another one goes on. */
export async function runRebuild(
  goal: Goal,
  world: RebuildWorld,
  said: (step: Step, facts: Facts) => void,
  signal: AbortSignal,
): Promise<Report> {
  const verifications: AuditReport[] = []
  for (;;) {
    signal.throwIfAborted()
    const facts = await world.facts()
    const step = nextStep(goal, facts)
    said(step, facts)
    switch (step.do) {
      case 'declare':
        await world.declare(step.collection, step.state)
        break
      case 'serve':
        await world.serve(step.collection)
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
            `${step.collection} differs from documents after ${VERIFICATIONS_MAX} repairs; freshet audit --collection ${step.collection} says how, freshet rebuild --abort removes it`,
          )
        break
      }
      case 'done':
      case 'refuse':
        return { outcome: step.do === 'done' ? 'done' : 'refused', say: step.say, verifications }
    }
  }
}

export const LOOK_EVERY_MS = 250
/** Each leaves nothing but what went wrong meanwhile; what is left after so many does not go away by itself. */
export const VERIFICATIONS_MAX = 5
