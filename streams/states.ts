/**
 * Named states: conditions of the world that people should know of while they last. Each has a name, a subject (a stage on a
 * partition, a topic, a role), a detail with the numbers, and one sentence of what to do. Whoever finds one raises it;
 * whoever finds that it is over clears it. Nothing else follows from it: what a stage does about it is the stage's.
 */
export interface NamedState {
  readonly name: StateName
  /** `embed-documents on documents/3`. */
  readonly subject: string
  readonly detail: string
  /** ms since 1970. */
  readonly since: number
  /** Work cannot go on while it lasts: after a moment the role is not ready. */
  readonly blocking: boolean
  /** Until the process ends: what it tells of cannot be undone. */
  readonly stays: boolean
}

interface Kind {
  readonly means: string
  readonly advice: string
  readonly blocking: boolean
}

export const stateKinds = {
  'source-recreated': {
    means:
      'A topic was deleted, or deleted and created again, so that its offsets begin anew. For documents nothing is touched until the new topic is accepted; a new source is read from its start, and a new vectors.<space> is filled and compared with documents.',
    advice:
      'For documents: restore the topic, or accept the new one with freshet epoch --accept. For the others: nothing; what was not read of a deleted source is to be sent again.',
    blocking: true,
  },
  'offset-out-of-range': {
    means:
      'The place where a stage was to go on has left the log, or lies behind its end: what was between was removed before it was handled.',
    advice:
      'What was removed from a source is to be sent again (the detail says how many offsets; it stays until the process restarts). For documents and vectors.<space> nothing: the partition is compared and healed.',
    blocking: false,
  },
  'tombstones-may-be-lost': {
    means:
      'A stage begins at a place that is older than deletions are kept, so one of them may be gone from the log. Its watermark stays until it has passed what was there, and the index is compared with documents.',
    advice: 'Nothing: it ends by itself. Run the workers more often than deletions are kept.',
    blocking: false,
  },
  'marker-behind-log': {
    means:
      'The index says that it was filled up to a place that vectors.<space> does not hold any more: an older copy was restored, or the log was cut. What was between is unknown.',
    advice:
      'Nothing: the partition is read from the start of the log and compared with documents. freshet rebuild makes a fresh index.',
    blocking: false,
  },
  'over-quota': {
    means:
      'The next record of a source’s partition would take its tenant, or its source, over a quota. The partition is paused until the quota allows it, and what is behind it there waits too, in order; other partitions go on.',
    advice:
      'Nothing, if that is wanted: it goes on by itself. Else freshet quota set; who floods is best given a source of their own (FRESHET_SOURCES). What waits is kept no longer than the source keeps it.',
    blocking: false,
  },
  'bulk-waits': {
    means:
      'A source is marked bulk, and the index is further behind documents than FRESHET_BULK_LAG_MAX. Its partitions are paused until the index has caught up; sources that are not bulk go on.',
    advice:
      'Nothing: it goes on by itself. If it lasts, look why the index is behind (freshet status), or freshet quota set --no-bulk. What waits is kept no longer than the source keeps it.',
    blocking: false,
  },
  'source-truncated': {
    means:
      'The table behind a mapped source was emptied at once (TRUNCATE). No record says which rows it had, so their documents are still found. The record is a dead letter.',
    advice:
      'Delete the documents (freshet erase), or put the rows back and delete them with DELETE. The state stays until the process restarts, the dead letter until it is discarded.',
    blocking: false,
  },
  'registry-unreachable': {
    means: 'The schema registry does not answer, and a schema is needed that is not known yet.',
    advice: 'Start the schema registry, or correct FRESHET_REGISTRY.',
    blocking: true,
  },
  'dead-letters-unavailable': {
    means: 'The topic dead-letters is gone, or refuses what a stage must put there. The stage waits and skips nothing.',
    advice: 'Create the topic again (freshet doctor names it; a role that starts creates it), or lift what it refuses.',
    blocking: true,
  },
  'index-unreachable': {
    means: 'Qdrant does not answer.',
    advice: 'Start Qdrant, or correct FRESHET_QDRANT_URL.',
    blocking: true,
  },
  'model-unavailable': {
    means:
      'The model of an embedding space cannot be opened: files are missing, or are not what they must be, or it is the model of another space. Nothing is written under that space; the others go on.',
    advice:
      'Correct what the detail names (freshet models verify); it is tried again by itself. A candidate can be removed with freshet models abort.',
    blocking: true,
  },
  'embedding-unavailable': {
    means:
      'The service that embeds does not answer, has no room, does not let us in, or answers something that is no vectors. What needs vectors waits; nothing is thrown away, and what is embedded already is searched.',
    advice:
      'The detail has the service’s words. Start it, or correct FRESHET_EMBEDDING_URL, FRESHET_MODEL and FRESHET_EMBEDDING_API_KEY.',
    blocking: true,
  },
  'embedding-budget-spent': {
    means:
      'The tokens that this process may have embedded elsewhere on one UTC day are spent. What needs vectors waits for the next day.',
    advice: 'Nothing, if that is wanted: it goes on by itself. Else raise FRESHET_EMBEDDING_TOKENS_PER_DAY_MAX.',
    blocking: false,
  },
  'embedding-model-changed': {
    means:
      'The service that embeds gives other vectors for the golden texts than when the space was first used: it runs another model under the same name. Nothing is embedded with it.',
    advice:
      'Put the former model back. To go over to the new one give it another FRESHET_EMBEDDING_REVISION in all roles, which makes a space of its own.',
    blocking: true,
  },
  'kafka-unreachable': {
    means: 'Kafka does not answer.',
    advice: 'Start Kafka, or correct FRESHET_KAFKA.',
    blocking: true,
  },
  'control-unheard': {
    means:
      'A role that lets callers in cannot read control to its end: keys that it knows stay good, and it does not hear of new and revoked ones.',
    advice:
      'Start Kafka, or correct FRESHET_KAFKA. After FRESHET_KEYS_UNHEARD_MS_MAX API keys are refused with 503, until it is heard again.',
    blocking: false,
  },
} as const satisfies Record<string, Kind>

export type StateName = keyof typeof stateKinds

/** Told of each state when it begins and when it ends. */
export interface StateListener {
  began(state: NamedState): void
  ended(state: NamedState, ms: number): void
}

/** The states that are present in this process. */
export class States {
  readonly #present = new Map<string, NamedState>()
  readonly #now: () => number
  readonly #listener: StateListener

  constructor(now: () => number, listener: StateListener = { began() {}, ended() {} }) {
    this.#now = now
    this.#listener = listener
  }

  /** Raised again, a state keeps its beginning and takes the newer detail. */
  raise(
    name: StateName,
    subject: string,
    detail: string,
    { blocking = stateKinds[name].blocking, stays = false }: { blocking?: boolean; stays?: boolean } = {},
  ): void {
    const key = keyOf(name, subject)
    const before = this.#present.get(key)
    const state = { name, subject, detail, since: before?.since ?? this.#now(), blocking, stays }
    this.#present.set(key, state)
    if (before === undefined) this.#listener.began(state)
  }

  clear(name: StateName, subject: string): void {
    const key = keyOf(name, subject)
    const state = this.#present.get(key)
    if (state === undefined || state.stays) return
    this.#present.delete(key)
    this.#listener.ended(state, this.#now() - state.since)
  }

  /** Of a subject that is gone from this process. */
  clearAll(subject: string): void {
    for (const state of this.present()) if (state.subject === subject) this.clear(state.name, subject)
  }

  has(name: StateName, subject: string): boolean {
    return this.#present.has(keyOf(name, subject))
  }

  present(): readonly NamedState[] {
    return [...this.#present.values()]
  }
}

const keyOf = (name: StateName, subject: string): string => `${name}\n${subject}`

/** A stage at work on one partition, as states, metrics and log lines call it. */
export const subjectOf = ({
  processor,
  topic,
  partition,
}: {
  readonly processor: string
  readonly topic: string
  readonly partition: number
}): string => `${processor} on ${topic}/${partition}`
