/** One item of a request, on its way to a worker. */
export interface Job<Item, Answer> {
  readonly id: number
  readonly item: Item
  readonly bytes: number
  readonly request: Request<Item, Answer>
  readonly position: number
  retries: number
  /** A thread died with it and others: it goes by itself, to find the one. */
  alone: boolean
}

export interface Request<Item, Answer> {
  readonly items: readonly Item[]
  readonly answers: Answer[]
  readonly sinceMs: number
  /** Until a worker took its first item, ms. */
  queueMs: number | null
  admitted: number
  settled: boolean
  answered: number
  settle(error?: unknown): void
}

export interface LaneBounds {
  readonly itemsMax: number
  readonly bytesMax: number
}

/** What waits for a worker, of one priority: a bounded queue, and before it those whose next item does not fit yet. */
export class Lane<Item, Answer> {
  readonly #waiting: Request<Item, Answer>[] = []
  readonly #queue: Job<Item, Answer>[] = []
  readonly #bounds: LaneBounds
  readonly #bytesOf: (item: Item) => number
  readonly #nextId: () => number
  #bytes = 0

  constructor(bounds: LaneBounds, bytesOf: (item: Item) => number, nextId: () => number) {
    this.#bounds = bounds
    this.#bytesOf = bytesOf
    this.#nextId = nextId
  }

  get queued(): number {
    return this.#queue.length
  }

  get requests(): Request<Item, Answer>[] {
    return [...this.#waiting, ...this.#queue.map((job) => job.request)]
  }

  add(request: Request<Item, Answer>): void {
    this.#waiting.push(request)
  }

  /** An item of each waiting request in turn, so a document of a thousand chunks does not hold up a short one. */
  admit(): void {
    const { itemsMax, bytesMax } = this.#bounds
    while (this.#waiting.length > 0) {
      const request = this.#waiting[0]!
      const item = request.items[request.admitted]!
      const bytes = this.#bytesOf(item)
      const isFull = this.#queue.length >= itemsMax || this.#bytes + bytes > bytesMax
      if (isFull && this.#queue.length > 0) return
      this.#waiting.shift()
      const position = request.admitted
      this.#queue.push({ id: this.#nextId(), item, bytes, request, position, retries: 0, alone: false })
      this.#bytes += bytes
      request.admitted += 1
      if (request.admitted < request.items.length) this.#waiting.push(request)
    }
  }

  /** The next ones, as many as go to a worker together. */
  take(itemsMax: number): Job<Item, Answer>[] {
    const jobs: Job<Item, Answer>[] = []
    while (jobs.length < itemsMax && this.#queue.length > 0) {
      if (jobs.length > 0 && this.#queue[0]!.alone) break
      const job = this.#queue.shift()!
      this.#bytes -= job.bytes
      jobs.push(job)
      if (job.alone) break
    }
    return jobs
  }

  putBack(jobs: readonly Job<Item, Answer>[]): void {
    const wanted = jobs.filter((job) => !job.request.settled)
    for (const job of wanted) this.#bytes += job.bytes
    this.#queue.unshift(...wanted)
  }

  forget(request: Request<Item, Answer>): void {
    const kept = this.#queue.filter((job) => job.request !== request)
    this.#queue.splice(0, this.#queue.length, ...kept)
    this.#bytes = kept.reduce((bytes, job) => bytes + job.bytes, 0)
    const place = this.#waiting.indexOf(request)
    if (place >= 0) this.#waiting.splice(place, 1)
  }
}
