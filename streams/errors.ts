import type { StateName } from './states.ts'

/** Errors are instructions to the runtime: a class exists only where the runtime acts differently on it. */

interface Details {
  readonly cause?: unknown
  readonly retryAfterMs?: number
  /** The named state that this is a sign of. */
  readonly state?: StateName
}

/** The world is not well (a broker, an index, a service is out of reach): try the same work again later. Never a dead letter. */
export class Retry extends Error {
  override name = 'Retry'
  readonly retryAfterMs: number
  readonly state: StateName | null
  constructor(message: string, { cause, retryAfterMs = 200, state }: Details = {}) {
    super(message, { cause })
    this.retryAfterMs = retryAfterMs
    this.state = state ?? null
  }
}

/** This input can never succeed: one dead letter, and on with the next. */
export class Reject extends Error {
  override name = 'Reject'
  constructor(message: string, { cause }: Details = {}) {
    super(message, { cause })
  }
}

/** Nothing that this process can do will help (wrong configuration, broken invariant): stop, and say why. */
export class Fatal extends Error {
  override name = 'Fatal'
  constructor(message: string, { cause }: Details = {}) {
    super(message, { cause })
  }
}

/** Kafka knows who we are, and that this is not for us. Whoever may leave it to others waits; for everybody else it is `Fatal`. */
export class Forbidden extends Fatal {
  override name = 'Forbidden'
}

/** What this task believes about the world outside may be wrong: forget it all, and begin again as if just assigned. */
export class StartOver extends Error {
  override name = 'StartOver'
  readonly state: StateName | null
  constructor(message: string, { cause, state }: Details = {}) {
    super(message, { cause })
    this.state = state ?? null
  }
}

/** A younger producer of the same transactional id exists: this one is a zombie. */
export class Fenced extends Error {
  override name = 'Fenced'
}

/** The partition belongs to another member of the group now: drop the work, its new owner does it. */
export class NotOwner extends Error {
  override name = 'NotOwner'
}

/** The message of an error with those of its causes, for logs and dead letters. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.cause === undefined) return error.message
  const cause = reasonOf(error.cause)
  // Clients of others wrap an error in one that says the same.
  return error.message.endsWith(cause) ? error.message : `${error.message}: ${cause}`
}
