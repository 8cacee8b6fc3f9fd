import { z } from 'zod'
import type { Reranker } from '../../engine/reranker.ts'
import { Reject, reasonOf } from '../../streams/errors.ts'
import type { Principal } from '../principal.ts'
import type { Admission } from './admission.ts'
import type { Callers } from './callers.ts'
import { Refused } from './refused.ts'

/** `POST /v1/rerank`, as Cohere and Jina have it. */
export const rerankBody = z.strictObject({
  model: z.string(),
  query: z.string(),
  documents: z.array(z.union([z.string(), z.strictObject({ text: z.string() })])),
  top_n: z.number().int().min(1).optional().describe('Default: all.'),
  return_documents: z.boolean().default(false),
})

export interface RerankPorts {
  /** null: no model is configured. */
  readonly reranker: Reranker | null
  readonly admission: Admission
  readonly callers: Callers
  readonly limits: { readonly textBytesMax: number }
  readonly now: () => number
}

interface Asking {
  readonly principal: Principal
  readonly signal: AbortSignal
  readonly deadlineMs: number | null
}

/** The best first; equal ones in the order in which they were sent. @throws Refused. */
export async function rerank(
  body: z.infer<typeof rerankBody>,
  { principal, signal, deadlineMs }: Asking,
  ports: RerankPorts,
) {
  const { reranker, admission, callers, now } = ports
  const served = reranker === null ? 'none: set FRESHET_RERANK_MODEL' : reranker.model
  if (reranker === null || (body.model !== reranker.model && body.model !== reranker.model.split('@')[0]))
    throw new Refused('not_found', `no model called ${JSON.stringify(body.model)} reranks; there is: ${served}`, {
      param: 'model',
    })
  const texts = body.documents.map((each) => (typeof each === 'string' ? each : each.text))
  checkTexts(body.query, texts, ports.limits)
  callers.spend(
    principal,
    texts.reduce((sum, text) => sum + Math.ceil((text.length + body.query.length) / 4), 0),
  )
  const entrance = admission.take(texts.length, 'interactive', deadlineMs)
  if (!entrance.admitted)
    throw new Refused('overloaded', `${served} has too much to do: ${entrance.reason}`, {
      retryAfterMs: entrance.retryAfterMs,
    })
  const late = deadlineMs === null ? null : AbortSignal.timeout(Math.ceil(deadlineMs))
  let answered = 0
  try {
    const either = late === null ? signal : AbortSignal.any([signal, late])
    const scores = await reranker.rerank(body.query, texts, { signal: either })
    answered = scores.length
    const results = scores
      .map((score, index) => ({
        index,
        relevance_score: score,
        ...(body.return_documents && { document: { text: texts[index]! } }),
      }))
      .sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index)
      .slice(0, body.top_n ?? texts.length)
    return { model: reranker.model, results }
  } catch (error) {
    if (signal.aborted) throw new Refused('cancelled', 'the caller has left')
    if (late?.aborted) throw new Refused('deadline', `the deadline of ${Math.ceil(deadlineMs!)} ms passed`)
    if (error instanceof Reject) throw new Refused('bad_request', reasonOf(error), { param: 'documents' })
    throw error
  } finally {
    admission.ended(texts.length, 'interactive', answered, now())
  }
}

function checkTexts(query: string, texts: readonly string[], { textBytesMax }: RerankPorts['limits']): void {
  const fault = (param: string, message: string) => new Refused('bad_request', `${param}: ${message}`, { param })
  if (query.trim() === '') throw fault('query', 'is empty; send a text')
  if (texts.length === 0) throw fault('documents', 'is empty; send a text')
  if (texts.length > DOCUMENTS_MAX)
    throw fault('documents', `has ${texts.length} texts; send at most ${DOCUMENTS_MAX} at once`)
  const large = [query, ...texts].findIndex((text) => Buffer.byteLength(text) > textBytesMax)
  if (large >= 0) throw fault(large === 0 ? 'query' : `documents[${large - 1}]`, `has more than ${textBytesMax} bytes`)
}

/** Each pair is a run of the model, about 20 ms. */
const DOCUMENTS_MAX = 256
