/** One kind of service that embeds, and its wire format. It only carries: when, how often and how much is `dispatcher.ts`'s. */
export interface Transport {
  /** For messages: never with a secret in it. */
  readonly where: string
  /** One request. Resolves with what the service said, whatever it was; rejects only where the signal is aborted. */
  embed(texts: readonly string[], wish: RequestWish): Promise<Answer>
  close(): Promise<void>
}

export interface RequestWish {
  readonly as: 'document' | 'query'
  readonly signal: AbortSignal
}

/** What a service said to one request. Each wire format puts its own words into one of these. */
export type Answer =
  /** In the order of the texts, as they came: `checkVectors` has not seen them. `tokens`: as the service counts; null: it does not say. */
  | { readonly is: 'vectors'; readonly vectors: readonly ArrayLike<number>[]; readonly tokens: number | null }
  /** It has no room now (429, RESOURCE_EXHAUSTED). */
  | { readonly is: 'busy'; readonly words: string; readonly retryAfterMs: number | null }
  /** It does not answer, or says that it is not well. `answered`: something came back, so it is still the service that it was. */
  | { readonly is: 'down'; readonly words: string; readonly retryAfterMs: number | null; readonly answered: boolean }
  /** It does not let us in, or does not have the model: nothing that we send would be taken. */
  | { readonly is: 'barred'; readonly words: string }
  /** It does not want what we sent (400, 413, 422): one of the texts, all of them together, or whatever we send. */
  | { readonly is: 'refused'; readonly words: string }
  /** It answered something that is not the vectors of these texts. */
  | { readonly is: 'wrong'; readonly words: string }

export type Outcome = Answer['is']
