import { errorIn, type FreshetError } from './error.ts'
import type { Way } from './operations.ts'
import type { Message, SubscribeRequest } from './protocol.ts'
import { noTries, type Tries, whatNext } from './reconnecting.ts'
import { hear, Latest, type StandingState } from './standing.ts'

export interface FollowingPorts {
  readonly nextId: () => string
  readonly random: () => number
}

interface Following {
  id: string
  readonly request: SubscribeRequest
  readonly latest: Latest
  tries: Tries
  again: ReturnType<typeof setTimeout> | undefined
}

/** Standing queries: each goes on over one connection after another, from the state that was heard last. */
export class Followings {
  readonly #way: Way
  readonly #ports: FollowingPorts
  readonly #open = new Map<string, Following>()
  #ended: FreshetError | null = null

  constructor(way: Way, ports: FollowingPorts) {
    this.#way = way
    this.#ports = ports
  }

  /** Ends quietly when the signal is aborted or the client is closed, and throws when the query can never be answered. */
  async *follow(request: SubscribeRequest, signal?: AbortSignal): AsyncGenerator<StandingState, void, void> {
    if (signal?.aborted) return
    if (this.#ended !== null) throw this.#ended
    const latest = new Latest()
    const following: Following = { id: '', request, latest, tries: noTries, again: undefined }
    const aborted = () => latest.end(null)
    signal?.addEventListener('abort', aborted, { once: true })
    this.#ask(following)
    try {
      for (;;) {
        const state = await latest.next()
        if (state === null) return
        yield state
      }
    } finally {
      signal?.removeEventListener('abort', aborted)
      clearTimeout(following.again)
      if (this.#open.delete(following.id) && this.#way.takes) this.#way.send({ type: 'cancel', id: following.id })
    }
  }

  /** Whether the message was about one of these. */
  take(message: Message): boolean {
    const following = message.id === undefined ? undefined : this.#open.get(message.id)
    if (following === undefined) return false
    const { latest } = following
    if (message.type === 'error') this.#refused(following, errorIn(message))
    else if (message.type === 'notice') {
      const isFollowing = message.code === 'following'
      latest.tell(isFollowing ? 'following' : 'not_following', isFollowing ? null : String(message.message))
    } else if (message.type === 'snapshot' || message.type === 'diff') {
      const heard = hear(latest.heard, message)
      if (heard === null) this.#begin(following)
      else {
        following.tries = noTries
        latest.set(heard, message.type === 'diff')
      }
    }
    return true
  }

  up(): void {
    for (const following of [...this.#open.values()]) this.#ask(following)
  }

  down({ message }: FreshetError): void {
    for (const { latest, again } of this.#open.values()) {
      clearTimeout(again)
      latest.tell('reconnecting', message)
    }
  }

  /** `error`: null where it was wanted. */
  ended(error: FreshetError, wanted: boolean): void {
    this.#ended = error
    for (const { latest } of this.#open.values()) latest.end(wanted ? null : error)
  }

  /** Under a new id, so that nothing of before is taken for an answer. `resumes`: from what was heard last. */
  #ask(following: Following, resumes = true): void {
    this.#open.delete(following.id)
    following.id = this.#ports.nextId()
    this.#open.set(following.id, following)
    if (!this.#way.takes) return
    const { heard } = following.latest
    const resume = resumes && heard !== null && { resume: { epoch: heard.epoch, seq: heard.seq } }
    this.#way.send({ type: 'subscribe', id: following.id, ...following.request, ...resume })
  }

  /** What was said does not follow from what is known: the whole list is asked for. */
  #begin(following: Following): void {
    if (this.#way.takes) this.#way.send({ type: 'cancel', id: following.id })
    this.#later(following, undefined, false)
  }

  #refused(following: Following, error: FreshetError): void {
    // Cancelled, and not by us: the server lets go of it, as it does when it ends.
    if (!error.retryable && error.code !== 'cancelled') {
      this.#open.delete(following.id)
      return following.latest.end(error)
    }
    following.latest.tell('not_following', error.message)
    this.#later(following, error.retryAfterMs, true)
  }

  #later(following: Following, retryAfterMs: number | undefined, resumes: boolean): void {
    const trouble = { code: 'unavailable', retryable: true, retryAfterMs }
    const next = whatNext(
      { error: trouble, wasSteady: false, comeBackMs: null },
      following.tries,
      false,
      this.#ports.random,
    )!
    following.tries = next.tries
    clearTimeout(following.again)
    // What still comes under the old id is not listened to.
    this.#open.delete(following.id)
    following.id = this.#ports.nextId()
    this.#open.set(following.id, following)
    following.again = setTimeout(() => this.#ask(following, resumes), next.afterMs)
  }
}
