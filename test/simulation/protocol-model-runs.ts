import { Broken } from './broken.ts'
import { runModel } from './protocol-model.ts'
import { rules as allOn, type Rules } from './protocol-rules.ts'

export interface ModelRun {
  readonly broken: readonly { readonly seed: number; readonly promise: string; readonly message: string }[]
  /** Seeds at whose end chunks were stored that nobody is shown. */
  readonly garbage: number
}

/** The model over a row of seeds. */
export function modelSeeds({
  from,
  seeds,
  rules = allOn,
  stopAtFirst = false,
}: {
  from: number
  seeds: number
  rules?: Rules
  stopAtFirst?: boolean
}): ModelRun {
  const broken: ModelRun['broken'][number][] = []
  let garbage = 0
  for (let seed = from; seed < from + seeds; seed++) {
    try {
      if (runModel(seed, rules).garbage > 0) garbage++
    } catch (error) {
      if (!(error instanceof Broken)) throw error
      broken.push({ seed, promise: error.promise, message: error.message })
      if (stopAtFirst) break
    }
  }
  return { broken, garbage }
}
