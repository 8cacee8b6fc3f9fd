import type { Clock } from './clock.ts'
import { type CommitNote, encodeNote } from './commit-note.ts'
import { attempted, type Crashes, done, isCondemned, isolates, noCrashes, passed } from './crashes.ts'
import type { StateName } from './states.ts'

/** Where a task starts, and what is to be noted of it. */
export interface Opening {
  readonly offset: number
  readonly at: number
  readonly held: StateName | null
  readonly crashes: Crashes
}

export interface CommitsContext {
  readonly clock: Clock
  readonly topicId: string
  /** The position is kept elsewhere; what is committed here only counts starts. */
  readonly transactional: boolean
  commit(offset: number, metadata: string): Promise<void>
  /** A commit went through: there may be more to commit. */
  committed(): void
}

/**
 * What one task commits. While its watermark is held, that is the place where it started, with its age: a crash then comes
 * back to the same state. Before the first record is worked on, the start itself is committed, since a record that ends the
 * process leaves nothing else behind.
 */
export class Commits {
  readonly #context: CommitsContext
  #offset: number
  #at: number
  #held: StateName | null
  /** What is on record says that the watermark is held, and it is not any more. */
  #released = false
  #crashes: Crashes
  /** The broker has what is above. */
  #written = false
  #running: Promise<void> | null = null
  #lastAt = 0

  constructor({ offset, at, held, crashes }: Opening, context: CommitsContext) {
    this.#context = context
    this.#offset = offset
    this.#at = at
    this.#held = held
    this.#crashes = crashes
  }

  get running(): boolean {
    return this.#running !== null
  }

  /** Rejects as the broker does. */
  open(): Promise<void> {
    return this.#write(this.#offset, this.#at, this.#crashes)
  }

  /** Records before this offset go one at a time. */
  isolates(offset: number): boolean {
    return isolates(this.#crashes, offset)
  }

  /** Puts a record's own attempt on record before it is worked on. Resolves with whether it is not to be tried again. */
  async attempt(offset: number): Promise<boolean> {
    await this.#running
    const crashes = attempted(this.#crashes, offset)
    if (crashes !== this.#crashes) await this.#write(this.#placeBefore(offset), this.#at, crashes)
    return isCondemned(this.#crashes, offset)
  }

  /** Puts on record that an attempt is over, or the next record that ends the process would be taken for this one. */
  async attemptOver(offset: number, next: number, at: number): Promise<void> {
    await this.#running
    this.advance(next, at, true)
    await this.#running
    if (!this.#context.transactional && isolates(this.#crashes, offset) && this.#crashes.record === offset)
      await this.#write(this.#offset, this.#at, done(this.#crashes, offset)).catch(() => {})
  }

  /** Commits in the background what is acknowledged, now and then or when nothing else is under way. */
  advance(next: number, at: number, idle: boolean): void {
    const { clock, transactional } = this.#context
    if (transactional || this.#held !== null || this.#running !== null || !this.#isNews(next)) return
    if (!idle && clock.now() - this.#lastAt < COMMIT_EVERY_MS) return
    this.#lastAt = clock.now()
    this.#running = this.#write(next, at, passed(this.#crashes, next)).then(
      () => {
        this.#running = null
        this.#context.committed()
      },
      // Not ours any more, or out of reach: the next commit, or the next owner, says it again.
      () => {
        this.#running = null
      },
    )
  }

  /** The watermark is not held any more; what was held back can be committed. */
  release(): void {
    this.#released ||= this.#held !== null
    this.#held = null
  }

  /** The task ends cleanly: what is acknowledged, and that it was no crash. */
  async close(next: number, at: number): Promise<void> {
    await this.#running
    const moved = !this.#context.transactional && this.#held === null && this.#isNews(next)
    if (moved) await this.#write(next, at, passed(this.#crashes, next)).catch(() => {})
    else if (this.#written && this.#crashes.starts > 0)
      await this.#write(this.#offset, this.#at, { ...noCrashes, until: this.#crashes.until }).catch(() => {})
  }

  #isNews(next: number): boolean {
    return next > this.#offset || this.#released
  }

  /** While the watermark is held, the place stays where it is. */
  #placeBefore(offset: number): number {
    return this.#held === null ? offset : this.#offset
  }

  async #write(offset: number, at: number, crashes: Crashes): Promise<void> {
    const held = this.#held
    const note: CommitNote = { topicId: this.#context.topicId, at, held, ...crashes }
    await this.#context.commit(offset, encodeNote(note))
    this.#offset = offset
    this.#at = at
    this.#crashes = crashes
    this.#written = true
    if (held === null) this.#released = false
  }
}

const COMMIT_EVERY_MS = 500
