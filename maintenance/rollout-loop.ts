import type { SpaceModel } from '../schemas/records.ts'
import { nextRolloutStep, type RolloutFacts, type RolloutGoal, type RolloutStep } from './rollout.ts'
import { type Report, type StepWorld, takeSteps } from './step-loop.ts'

/** What the loop needs of the world. */
export interface RolloutWorld extends StepWorld<RolloutFacts> {
  know(space: string, model: SpaceModel): Promise<void>
  serve(step: Extract<RolloutStep, { do: 'serve' }>): Promise<void>
}

/** Takes step after step until the goal is reached. Whenever it is stopped, however, another one goes on. */
export const runRollout = (
  goal: RolloutGoal,
  world: RolloutWorld,
  said: (step: RolloutStep, facts: RolloutFacts) => void,
  signal: AbortSignal,
): Promise<Report> =>
  takeSteps<RolloutFacts, Extract<RolloutStep, { do: 'know' | 'serve' }>>(
    world,
    {
      next: (facts) => nextRolloutStep(goal, facts),
      perform: (step) => (step.do === 'know' ? world.know(step.space, step.model) : world.serve(step)),
      said,
      giveUp: 'freshet models abort',
    },
    signal,
  )
