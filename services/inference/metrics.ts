import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Priority } from '../../engine/pool.ts'
import { nameOf } from '../../engine/repository/model-files.ts'
import type { Embedded } from '../../engine/worker.ts'
import type { ServedModels } from './served-models.ts'

export interface InferenceMetrics {
  computed(model: string, priority: Priority, done: Computed): void
  rejected(model: string, priority: Priority, reason: 'queue' | 'deadline' | 'cancelled'): void
  shadowed(model: string, outcome: string): void
  /** A request by whichever door. */
  ended(api: string, code: string, ms: number): void
}

interface Computed {
  readonly answers: readonly Embedded[]
  readonly queueMs: number
  readonly computeMs: number
  readonly tokens: number
}

export function inferenceMetrics(registry: Registry, models: () => ServedModels): InferenceMetrics {
  const registers = [registry]
  const requests = new Histogram({
    name: 'freshet_inference_request_seconds',
    help: 'Of a request, by the door it came through.',
    labelNames: ['api', 'code'],
    registers,
    buckets: SECONDS,
  })
  const queue = new Histogram({
    name: 'freshet_inference_queue_seconds',
    help: 'Until a thread took the first text of a request.',
    labelNames: ['model', 'priority'],
    registers,
    buckets: SECONDS,
  })
  const compute = new Histogram({
    name: 'freshet_inference_compute_seconds',
    help: 'CPU inside the model, of a request.',
    labelNames: ['model'],
    registers,
    buckets: SECONDS,
  })
  const texts = new Counter({
    name: 'freshet_inference_texts_total',
    help: 'Texts that were computed.',
    labelNames: ['model', 'priority'],
    registers,
  })
  const tokens = new Counter({
    name: 'freshet_inference_tokens_total',
    help: 'Tokens that were computed.',
    labelNames: ['model'],
    registers,
  })
  const padding = new Counter({
    name: 'freshet_inference_padding_tokens_total',
    help: 'Tokens that only filled rows of batches up.',
    labelNames: ['model'],
    registers,
  })
  const batches = new Histogram({
    name: 'freshet_inference_batch_size',
    help: 'Texts in the run of the model that a text was in.',
    labelNames: ['model'],
    registers,
    buckets: [1, 2, 4, 8, 16, 32, 64],
  })
  const rejected = new Counter({
    name: 'freshet_inference_rejected_total',
    help: 'Requests without an answer: the queue was full, the deadline passed, or the caller left.',
    labelNames: ['model', 'priority', 'reason'],
    registers,
  })
  const shadows = new Counter({
    name: 'freshet_inference_shadow_total',
    help: 'Requests that a shadow version was sent too.',
    labelNames: ['model', 'outcome'],
    registers,
  })
  new Gauge({
    name: 'freshet_inference_pending_texts',
    help: 'Texts that wait or are under way.',
    labelNames: ['model', 'priority'],
    registers,
    collect() {
      this.reset()
      for (const { loaded, admission } of models().all)
        for (const priority of ['interactive', 'bulk'] as const)
          this.set({ model: nameOf(loaded.model), priority }, admission.pending(priority))
    },
  })
  new Gauge({
    name: 'freshet_inference_model_info',
    help: '1 for each version that serves, with what it computes on.',
    labelNames: ['model', 'space', 'provider'],
    registers,
    collect() {
      this.reset()
      for (const { loaded } of models().all)
        this.set({ model: nameOf(loaded.model), space: loaded.space.id, provider: loaded.provider }, 1)
    },
  })
  return {
    computed(model, priority, { answers, queueMs, computeMs, tokens: sum }) {
      queue.observe({ model, priority }, queueMs / 1_000)
      compute.observe({ model }, computeMs / 1_000)
      texts.inc({ model, priority }, answers.length)
      tokens.inc({ model }, sum)
      padding.inc(
        { model },
        answers.reduce((all, each) => all + each.padding, 0),
      )
      for (const { batch } of answers) batches.observe({ model }, batch)
    },
    rejected: (model, priority, reason) => rejected.inc({ model, priority, reason }),
    shadowed: (model, outcome) => shadows.inc({ model, outcome }),
    ended: (api, code, ms) => requests.observe({ api, code }, ms / 1_000),
  }
}

const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30]
