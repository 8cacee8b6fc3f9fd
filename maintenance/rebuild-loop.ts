import { type Facts, type Goal, nextStep, type Step } from './rebuild.ts'
import { type Report, type StepWorld, takeSteps } from './step-loop.ts'

/** What the loop needs of the world. */
export interface RebuildWorld extends StepWorld<Facts> {
  serve(collection: string): Promise<void>
}

/** Takes step after step until the goal is reached. Whenever it is stopped, however, another one goes on. */
export const runRebuild = (
  goal: Goal,
  world: RebuildWorld,
  said: (step: Step, facts: Facts) => void,
  signal: AbortSignal,
): Promise<Report> =>
  takeSteps<Facts, Extract<Step, { do: 'serve' }>>(
    world,
    {
      next: (facts) => nextStep(goal, facts),
      perform: ({ collection }) => world.serve(collection),
      said,
      giveUp: 'freshet rebuild --abort',
    },
    signal,
  )
