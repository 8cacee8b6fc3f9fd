import type { CollectionState } from '../schemas/records.ts'
import type { AuditReport } from './audit.ts'

/** What a machine that changes which collections are kept does, whichever it is. */
export type CommonStep =
  /** Writes what a collection is kept for. */
  | { readonly do: 'declare'; readonly collection: string; readonly state: CollectionState; readonly say: string }
  /** Compares with `documents` and repairs; where nothing is left to repair, writes `verified`. */
  | { readonly do: 'verify'; readonly collection: string; readonly verified: CollectionState; readonly say: string }
  /** Deletes the collection from Qdrant, and what it has published. */
  | { readonly do: 'remove'; readonly collection: string; readonly say: string }
  | { readonly do: 'done'; readonly say: string }
  /** What was asked for cannot be done from here; says what can. */
  | { readonly do: 'refuse'; readonly say: string }

/** `Extra`: what a machine says beside of what it waits for. */
export type WaitStep<Extra = object> = { readonly do: 'wait'; readonly say: string } & Extra

/** What the loop needs of the world. All writes are acknowledged, and seen by the next `facts()`. */
export interface StepWorld<Facts> {
  facts(): Promise<Facts>
  declare(collection: string, state: CollectionState): Promise<void>
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

export interface Machine<Facts, Own> {
  next(facts: Facts): CommonStep | WaitStep | Own
  /** Performs a step that only this machine has. */
  perform(step: Own): Promise<void>
  said(step: CommonStep | WaitStep | Own, facts: Facts): void
  /** The command that gives up a collection which differs for ever. */
  readonly giveUp: string
}

/** Takes step after step until the goal is reached. Whenever it is stopped, however, another one goes on. */
export async function takeSteps<Facts, Own extends { readonly do: string }>(
  world: StepWorld<Facts>,
  { next, perform, said, giveUp }: Machine<Facts, Own>,
  signal: AbortSignal,
): Promise<Report> {
  const verifications: AuditReport[] = []
  for (;;) {
    signal.throwIfAborted()
    const facts = await world.facts()
    const step = next(facts)
    said(step, facts)
    if (!isCommon(step)) {
      await perform(step)
      continue
    }
    switch (step.do) {
      case 'declare':
        await world.declare(step.collection, step.state)
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
            `${step.collection} differs from documents after ${VERIFICATIONS_MAX} repairs; freshet audit --collection ${step.collection} says how, ${giveUp} removes it`,
          )
        break
      }
      case 'done':
      case 'refuse':
        return { outcome: step.do === 'done' ? 'done' : 'refused', say: step.say, verifications }
    }
  }
}

const common: ReadonlySet<string> = new Set<(CommonStep | WaitStep)['do']>([
  'declare',
  'verify',
  'remove',
  'wait',
  'done',
  'refuse',
])

const isCommon = <Own extends { readonly do: string }>(
  step: CommonStep | WaitStep | Own,
): step is CommonStep | WaitStep => common.has(step.do)

const LOOK_EVERY_MS = 250
/** Each leaves nothing but what went wrong meanwhile; what is left after so many does not go away by itself. */
const VERIFICATIONS_MAX = 5
