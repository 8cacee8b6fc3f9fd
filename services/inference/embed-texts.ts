import type { Priority } from '../../engine/pool.ts'
import { nameOf } from '../../engine/repository/model-files.ts'
import { Fatal, Reject, reasonOf } from '../../streams/errors.ts'
import type { Principal } from '../principal.ts'
import type { Callers } from './callers.ts'
import type { InferenceMetrics } from './metrics.ts'
import { Refused } from './refused.ts'
import type { Served, ServedModels } from './served-models.ts'

export interface EmbedWish {
  readonly model: string
  readonly texts: readonly string[]
  readonly as: 'document' | 'query'
  /** Default: a query is interactive, documents are bulk. */
  readonly priority: Priority | null
  readonly tooLong: 'cut' | 'refuse'
  /** From now; null: it waits as long as it takes. */
  readonly deadlineMs: number | null
  /** The caller's session, for traffic that is split by it. */
  readonly session: string | null
  /** The space that the caller wants vectors of; null: any. */
  readonly space: string | null
  readonly principal: Principal
  /** Aborted when the caller has left. */
  readonly signal: AbortSignal
}

export interface Embedded {
  readonly served: Served
  /** `name@version`. */
  readonly model: string
  readonly vectors: readonly Float32Array[]
  readonly tokens: number
  readonly queueMs: number
  readonly computeMs: number
}

export interface EmbedPorts {
  readonly models: ServedModels
  readonly callers: Callers
  readonly metrics: InferenceMetrics
  readonly limits: { readonly textsMax: number; readonly textBytesMax: number }
  readonly now: () => number
}

/** What every door leads to. @throws Refused. */
export async function embedTexts(wish: EmbedWish, ports: EmbedPorts): Promise<Embedded> {
  const { texts, principal, as, tooLong, priority = null } = wish
  checkTexts(texts, ports.limits)
  const served = ports.models.pick(wish.model, (by) =>
    by === 'session' ? (wish.session ?? principal.tenant) : principal.tenant,
  )
  const { loaded } = served
  const model = nameOf(loaded.model)
  if (wish.space !== null && wish.space !== loaded.space.id)
    throw new Refused(
      'conflict',
      `${model} makes vectors of the space ${loaded.space.id}, not of ${wish.space}: name the version that does, or roll the index over to this one`,
      { param: 'model' },
    )
  ports.callers.spend(principal, tokensAbout(texts, loaded.model.maxTokens))
  const lane = priority ?? (as === 'query' ? 'interactive' : 'bulk')
  const done = await embedIn(served, { ...wish, as, tooLong, lane }, ports)
  const shadow = wish.model === loaded.model.name ? ports.models.shadow(loaded.model.name) : null
  if (shadow !== null && shadow !== served) void shadowed(shadow, wish, ports)
  return done
}

async function embedIn(
  served: Served,
  { texts, as, tooLong, lane, deadlineMs, signal }: EmbedWish & { readonly lane: Priority },
  { metrics, models, now }: EmbedPorts,
): Promise<Embedded> {
  const { loaded, admission } = served
  const model = nameOf(loaded.model)
  const entrance = admission.take(texts.length, lane, deadlineMs)
  if (!entrance.admitted) {
    metrics.rejected(model, lane, 'queue')
    throw new Refused('overloaded', `${model} has too much to do: ${entrance.reason}`, {
      retryAfterMs: entrance.retryAfterMs,
    })
  }
  const late = deadlineMs === null ? null : AbortSignal.timeout(Math.max(0, Math.ceil(deadlineMs)))
  served.inFlight++
  let answered = 0
  try {
    const either = late === null ? signal : AbortSignal.any([signal, late])
    const { answers, queueMs } = await loaded.embed(texts, { as, priority: lane, tooLong, signal: either })
    answered = answers.length
    const tokens = answers.reduce((sum, each) => sum + each.tokens, 0)
    const computeMs = answers.reduce((sum, each) => sum + each.runMs, 0)
    metrics.computed(model, lane, { answers, queueMs, computeMs, tokens })
    return { served, model, vectors: answers.map(({ vector }) => vector), tokens, queueMs, computeMs }
  } catch (error) {
    if (signal.aborted) {
      metrics.rejected(model, lane, 'cancelled')
      throw new Refused('cancelled', 'the caller has left')
    }
    if (late?.aborted) {
      metrics.rejected(model, lane, 'deadline')
      throw new Refused(
        'deadline',
        `the deadline of ${Math.ceil(deadlineMs!)} ms passed; what had not begun was not computed`,
      )
    }
    if (error instanceof Reject)
      throw new Refused('bad_request', `${reasonOf(error)}; shorten it, or send "truncate": true`, { param: 'input' })
    if (error instanceof Fatal) {
      models.lost(served)
      throw new Refused('unavailable', reasonOf(error), { retryAfterMs: 5_000, cause: error })
    }
    throw error
  } finally {
    served.inFlight--
    admission.ended(texts.length, lane, answered, now())
  }
}

/** Behind everything else, and nobody waits for it. */
async function shadowed(shadow: Served, wish: EmbedWish, ports: EmbedPorts): Promise<void> {
  const signal = AbortSignal.timeout(SHADOW_MS_MAX)
  const copy = { ...wish, tooLong: 'cut' as const, lane: 'bulk' as const, deadlineMs: null, signal }
  const outcome = await embedIn(shadow, copy, ports).then(
    () => 'answered',
    () => 'failed',
  )
  ports.metrics.shadowed(nameOf(shadow.loaded.model), outcome)
}

const SHADOW_MS_MAX = 30_000

function checkTexts(texts: readonly string[], { textsMax, textBytesMax }: EmbedPorts['limits']): void {
  if (texts.length === 0) throw new Refused('bad_request', 'input: is empty; send a text', { param: 'input' })
  if (texts.length > textsMax)
    throw new Refused('bad_request', `input: has ${texts.length} texts; send at most ${textsMax} at once`, {
      param: 'input',
    })
  for (const [at, text] of texts.entries()) {
    const param = texts.length === 1 ? 'input' : `input[${at}]`
    if (text.trim() === '')
      throw new Refused('bad_request', `${param}: is empty; leave it out, or send a text`, { param })
    if (text.length > textBytesMax || Buffer.byteLength(text) > textBytesMax)
      throw new Refused('bad_request', `${param}: has more than ${textBytesMax} bytes; split it first`, { param })
  }
}

/** Before anybody has counted them. */
const tokensAbout = (texts: readonly string[], maxTokens: number): number =>
  texts.reduce((sum, text) => sum + Math.min(maxTokens, Math.ceil(text.length / 4) + 2), 0)
