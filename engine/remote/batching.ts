/** A text that waits for a request. */
export interface Waiting {
  readonly text: string
  readonly tokens: number
  readonly bytes: number
}

/** Of one request. */
export interface BatchBounds {
  readonly textsMax: number
  readonly tokensMax: number
  readonly bytesMax: number
}

/** How many of those that wait go into the next request: as many as the bounds let, and one that is over them goes alone. Pure. */
export function batchOf(waiting: readonly Waiting[], { textsMax, tokensMax, bytesMax }: BatchBounds): number {
  let tokens = 0
  let bytes = 0
  let count = 0
  for (const next of waiting) {
    tokens += next.tokens
    bytes += next.bytes
    if (count === textsMax || (count > 0 && (tokens > tokensMax || bytes > bytesMax))) break
    count += 1
  }
  return count
}

export interface Turns {
  readonly queries: number
  readonly documents: number
  readonly requestsRunning: number
  readonly requestsMax: number
}

/** Whose turn it is: queries first, and of several requests at once the last is kept for them. Pure. */
export function turnOf({ queries, documents, requestsRunning, requestsMax }: Turns): 'query' | 'document' | null {
  if (requestsRunning >= requestsMax) return null
  if (queries > 0) return 'query'
  const forDocuments = requestsMax > 1 ? requestsMax - 1 : 1
  return documents > 0 && requestsRunning < forDocuments ? 'document' : null
}
