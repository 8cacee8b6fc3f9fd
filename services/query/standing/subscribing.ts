import { type Change, differenceOf } from '../../../search/result-diff.ts'
import type { Clock } from '../../../streams/clock.ts'
import type { Principal } from '../../principal.ts'
import type { Hit } from '../answers.ts'
import { admit, type Quotas } from '../operations.ts'
import { OperationError, type SubscribeMessage } from '../protocol.ts'
import type { StandingQueries } from './standing-queries.ts'
import { AnsweredElsewhere, type StandingQuery, type State } from './standing-query.ts'

/** What whoever follows a standing query is told. */
export type StandingMessage =
  | (State & { readonly type: 'snapshot'; readonly recovered: false })
  | (Omit<State, 'hits'> & { readonly type: 'diff'; readonly ops: readonly Change<Hit>[]; readonly recovered?: true })
  | { readonly type: 'notice'; readonly code: 'following' | 'not_following'; readonly message: string }

export interface SubscribePorts {
  readonly standing: Pick<StandingQueries, 'open'>
  readonly clock: Clock
  readonly quotas: Quotas
}

/**
 * Keeps one client in step with a standing query: a snapshot, then what is different each time. `send` resolves when the client takes
 * more; what changes until then, or within `minIntervalMs`, comes as one difference. Ends only by rejecting: with `cancelled` when the signal is aborted.
 */
export async function subscribe(
  message: SubscribeMessage,
  principal: Principal,
  { standing, clock, quotas }: SubscribePorts,
  signal: AbortSignal,
  send: (message: StandingMessage) => Promise<void>,
): Promise<never> {
  admit(message, principal, quotas)
  let { resume } = message
  for (;;) {
    const { query, leave } = await standing.open(message, principal, signal).catch((error) => {
      throw signal.aborted ? new OperationError('cancelled', 'cancelled') : error
    })
    try {
      await follow(query, { resume, minIntervalMs: message.minIntervalMs }, clock, signal, send)
    } catch (error) {
      if (!(error instanceof AnsweredElsewhere)) throw error
      // What it was told so far is of an epoch that nobody goes on with.
      resume = undefined
    } finally {
      leave()
    }
  }
}

/** Ends by rejecting. */
async function follow(
  query: StandingQuery,
  { resume, minIntervalMs }: Pick<SubscribeMessage, 'resume' | 'minIntervalMs'>,
  clock: Clock,
  signal: AbortSignal,
  send: (message: StandingMessage) => Promise<void>,
): Promise<never> {
  let told: State | null = null
  let trouble: string | null = null
  const missed = resume === undefined ? null : query.since(resume)
  if (missed !== null) {
    told = query.state!
    const { epoch, seq, asOf } = told
    await send({ type: 'diff', epoch, seq, ops: missed, asOf, recovered: true })
  }
  for (;;) {
    await query.other(told, trouble, signal)
    if (signal.aborted) throw new OperationError('cancelled', 'cancelled')
    if (query.ended !== null) throw query.ended
    if (query.trouble !== trouble) {
      trouble = query.trouble
      await send(trouble === null ? FOLLOWING : notFollowing(trouble))
    }
    const { state } = query
    if (state === null) continue
    const { epoch, seq, hits, asOf } = state
    if (told?.epoch !== epoch) await send({ type: 'snapshot', epoch, seq, hits, asOf, recovered: false })
    else if (told.seq !== seq) await send({ type: 'diff', epoch, seq, ops: differenceOf(told.hits, hits), asOf })
    told = state
    await clock.wait(minIntervalMs, signal)
  }
}

const FOLLOWING: StandingMessage = { type: 'notice', code: 'following', message: 'the hits follow the index again' }
const notFollowing = (reason: string): StandingMessage => ({
  type: 'notice',
  code: 'not_following',
  message: `the hits may be stale, and nothing needs to be done: ${reason}`,
})
