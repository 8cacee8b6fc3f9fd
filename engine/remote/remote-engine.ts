import type { Engine } from '../embedder.ts'
import { split } from '../splitting.ts'
import { documentTerms, queryTerms } from '../terms.ts'
import { Dispatcher, type DispatcherOptions } from './dispatcher.ts'
import type { Measure } from './measure.ts'
import type { Counts } from './remote-counts.ts'
import type { RemoteModel } from './remote-space.ts'

export interface RemoteOptions extends Omit<DispatcherOptions, 'dimensions'> {
  readonly space: Engine['space']
  readonly model: Pick<RemoteModel, 'prompts'>
  readonly measure: Measure
}

/** An engine whose vectors come from elsewhere. */
export interface RemoteEngine extends Engine {
  remote(): RemoteFacts
  /** What came from the service and was not given out is not given out any more. */
  forget(): void
}

export interface RemoteFacts {
  readonly where: string
  readonly counts: Counts
  readonly breaker: 'closed' | 'open' | 'half-open'
  /** null: there is no budget. */
  readonly budgetTokensLeft: number | null
  /** Goes up whenever the service did not answer at all. */
  readonly unanswered: number
  /** What everybody would be told now; null: requests go. */
  readonly refusal: Error | null
}

/** Splitting, keyword terms and the count of tokens stay here; only the vectors are asked for. Nothing connects before it is used. */
export function remoteEngine({ space, model, measure, ...options }: RemoteOptions): RemoteEngine {
  const dispatcher = new Dispatcher({ ...options, dimensions: space.dimensions })
  const promptTokens = measure.count(model.prompts.document)
  let truncated = 0
  const waiting = async (text: string) => {
    const start = await measure.start(text, space.maxTokens)
    if (start.text.length < text.length) truncated += 1
    return { ...start, bytes: Buffer.byteLength(start.text) }
  }
  return {
    space,
    fingerprint: null,
    split: async (text) => split(text, measure.words, space.maxTokens - (await promptTokens)),
    async embed(texts, { as, signal }) {
      const prompted = await Promise.all(texts.map((text) => waiting(model.prompts[as] + text)))
      return dispatcher.embed(prompted, as, signal)
    },
    documentTerms,
    queryTerms,
    stats: () => ({
      texts: dispatcher.counts.texts,
      tokens: dispatcher.counts.tokens,
      runMs: dispatcher.counts.ms,
      queued: dispatcher.queued,
      truncated,
      restarts: [],
    }),
    remote: () => ({
      where: options.transport.where,
      counts: dispatcher.counts,
      breaker: dispatcher.breaker,
      budgetTokensLeft: dispatcher.budgetTokensLeft,
      unanswered: dispatcher.unanswered,
      refusal: dispatcher.refusal(),
    }),
    forget: () => dispatcher.forget(),
    close: () => dispatcher.close(),
  }
}
