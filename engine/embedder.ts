/** The ports of the engine: what a processor or a query needs to turn text into vectors and terms. `engine.ts` makes the real one. */
export interface Engine {
  readonly space: Space
  /**
   * Which cpu, runtime and weights made the vectors: sha256 of the golden texts' vectors, hex. Equal fingerprints mean equal bytes.
   * null: the vectors come from a service that has not answered yet.
   */
  readonly fingerprint: string | null
  /** Cuts clean text on heading, paragraph and sentence bounds into chunks of at most `space.maxTokens` tokens of the model. Pure. */
  split(text: string): Promise<readonly Chunk[]>
  /** One normalised vector for each text, in order, the space's dimensions long. Waits while the queue is full (back-pressure). */
  embed(texts: readonly string[], options: EmbedOptions): Promise<readonly Float32Array[]>
  /** BM25 terms of a chunk. `language` is a BCP 47 tag; null means English. */
  documentTerms(text: string, language: string | null): Terms
  queryTerms(text: string, language: string | null): Terms
  stats(): EngineStats
  close(): Promise<void>
}

export interface EmbedOptions {
  /** `query` also selects the worker that is kept for queries, so that they never wait behind bulk. */
  readonly as: 'document' | 'query'
  readonly signal?: AbortSignal
}

/** An embedding space: everything that decides what a vector means. Two records of different spaces are never mixed. */
export interface Space {
  /** `es_` and 16 hex digits: a hash of all that follows and of the weights and tokenizer. */
  readonly id: string
  readonly model: string
  readonly dimensions: number
  readonly maxTokens: number
}

/** `start` and `end` are offsets into the text in UTF-16 units, end exclusive; `text` is that slice. */
export interface Chunk {
  readonly ordinal: number
  readonly start: number
  readonly end: number
  readonly text: string
}

/** Sparse vector: ascending, distinct 32-bit indices, and the weight of each. */
export interface Terms {
  readonly indices: Uint32Array
  readonly values: Float32Array
}

export interface EngineStats {
  readonly texts: number
  readonly tokens: number
  /** CPU inside the model's `session.run`, in all workers, ms; of a service elsewhere: from request to answer. */
  readonly runMs: number
  readonly queued: number
  /** Texts that were longer than the model takes, so that only their start counts in their vector. */
  readonly truncated: number
  /** How often each worker died and was replaced. */
  readonly restarts: readonly number[]
}
