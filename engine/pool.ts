import type { Worker } from 'node:worker_threads'
import { Fatal, Reject } from '../streams/errors.ts'
import type { EngineStats } from './embedder.ts'
import type { Embedded, FromWorker, ToWorker } from './worker.ts'

export interface PoolOptions {
  /** What the pool's threads are for: `bulk`, `queries`. In logs. */
  readonly name: string
  readonly workers: number
  readonly startWorker: () => Worker
  /** Admitted texts that no worker has taken yet. The next ones wait their turn outside, a text from each caller at a time. */
  readonly queueTextsMax: number
  readonly queueBytesMax: number
  readonly log: PoolLog
}

export interface PoolLog {
  warn(facts: object, message: string): void
}

export interface Pool {
  /** One vector per text, in order. Rejects with the signal's reason, with `Reject` for a text that no worker survives. */
  embed(texts: readonly string[], signal?: AbortSignal): Promise<readonly Float32Array[]>
  /** Resolves when all workers have loaded the model. */
  ready(): Promise<void>
  stats(): EngineStats
  close(): Promise<void>
}

/** One is being run, the next is being tokenised. */
const inFlightPerWorkerMax = 2
const textRetriesMax = 3
/** Workers that die before they are ready, in a row. */
const failedStartsMax = 3

interface Job {
  readonly id: number
  readonly text: string
  readonly bytes: number
  readonly request: Request
  readonly position: number
  retries: number
}

interface Request {
  readonly texts: readonly string[]
  readonly vectors: Float32Array[]
  admitted: number
  answered: number
  settled: boolean
  settle(error?: unknown): void
}

interface Slot {
  worker: Worker
  ready: boolean
  readonly inFlight: Job[]
  restarts: number
  failedStarts: number
}

/** Threads that each hold a model, with one queue before them. A thread that dies is replaced and its texts are tried again. */
export function createPool(options: PoolOptions): Pool {
  const waiting: Request[] = []
  const queue: Job[] = []
  const totals = { texts: 0, tokens: 0, truncated: 0, runMs: 0 }
  const started = Promise.withResolvers<void>()
  started.promise.catch(() => {})
  let queuedBytes = 0
  let lastId = 0
  let stopped: Error | null = null
  const slots = Array.from({ length: options.workers }, startSlot)

  function startSlot(): Slot {
    const slot: Slot = { worker: options.startWorker(), ready: false, inFlight: [], restarts: 0, failedStarts: 0 }
    listen(slot)
    return slot
  }

  function listen(slot: Slot): void {
    const { worker } = slot
    let cause: unknown
    worker.on('message', (message: FromWorker) => onMessage(slot, message))
    worker.on('error', (error) => {
      cause = error
    })
    worker.on('exit', (code) => {
      if (stopped) return
      replace(slot, cause ?? new Error(`the thread ended with code ${code}`))
    })
  }

  function onMessage(slot: Slot, message: FromWorker): void {
    if (stopped) return
    if (message === 'ready') {
      slot.ready = true
      slot.failedStarts = 0
      if (slots.every((each) => each.ready)) started.resolve()
    } else {
      const job = slot.inFlight.shift()
      if (job?.id !== message.id) throw new Error(`a worker answered text ${message.id}, not ${job?.id}`)
      if ('error' in message) retry(job, new Error(message.error))
      else finish(job, message)
    }
    pump()
  }

  function finish({ request, position }: Job, { vector, tokens, truncated, runMs }: Embedded): void {
    totals.texts += 1
    totals.tokens += tokens
    totals.truncated += truncated ? 1 : 0
    totals.runMs += runMs
    request.vectors[position] = vector
    request.answered += 1
    if (request.answered === request.texts.length) request.settle()
  }

  function retry(job: Job, cause: unknown): void {
    if (job.retries === textRetriesMax) {
      const which = `text ${job.position + 1} of ${job.request.texts.length}, ${job.text.length} characters long`
      job.request.settle(new Reject(`the model failed on ${which}, ${textRetriesMax + 1} times`, { cause }))
      return
    }
    job.retries += 1
    putBack([job])
  }

  function putBack(jobs: readonly Job[]): void {
    const wanted = jobs.filter((job) => !job.request.settled)
    for (const job of wanted) queuedBytes += job.bytes
    queue.unshift(...wanted)
  }

  /** Answers come in order, so the first text in flight is the one that the thread died of; the others are innocent. */
  function replace(slot: Slot, cause: unknown): void {
    const [first, ...others] = slot.inFlight.splice(0)
    options.log.warn(
      { pool: options.name, error: cause, textLength: first?.text.length },
      'a worker of the engine died',
    )
    if (!slot.ready) slot.failedStarts += 1
    slot.ready = false
    putBack(others)
    if (first) retry(first, cause)
    if (slot.failedStarts === failedStartsMax) {
      stop(new Fatal(`the workers for ${options.name} do not start`, { cause }))
      return
    }
    slot.restarts += 1
    slot.worker = options.startWorker()
    listen(slot)
    pump()
  }

  function pump(): void {
    do {
      admit()
    } while (dispatch())
  }

  /** A text from each waiting request in turn, so a document of a thousand chunks does not hold up a short one. */
  function admit(): void {
    while (waiting.length > 0) {
      const request = waiting[0]!
      const text = request.texts[request.admitted]!
      const bytes = Buffer.byteLength(text)
      const full = queue.length >= options.queueTextsMax || queuedBytes + bytes > options.queueBytesMax
      if (full && queue.length > 0) return
      waiting.shift()
      queue.push({ id: ++lastId, text, bytes, request, position: request.admitted, retries: 0 })
      queuedBytes += bytes
      request.admitted += 1
      if (request.admitted < request.texts.length) waiting.push(request)
    }
  }

  /** True if a worker took something. */
  function dispatch(): boolean {
    let took = false
    for (let depth = 0; depth < inFlightPerWorkerMax; depth++) {
      for (const slot of slots) {
        if (!slot.ready || slot.inFlight.length > depth) continue
        const job = queue.shift()
        if (!job) return took
        queuedBytes -= job.bytes
        slot.inFlight.push(job)
        slot.worker.postMessage({ id: job.id, text: job.text } satisfies ToWorker)
        took = true
      }
    }
    return took
  }

  function forget(request: Request): void {
    const kept = queue.filter((job) => job.request !== request)
    queue.splice(0, queue.length, ...kept)
    queuedBytes = queue.reduce((bytes, job) => bytes + job.bytes, 0)
    const place = waiting.indexOf(request)
    if (place >= 0) waiting.splice(place, 1)
  }

  function stop(reason: Error): void {
    stopped ??= reason
    started.reject(stopped)
    const inFlight = slots.flatMap((slot) => slot.inFlight.splice(0))
    const requests = new Set([...waiting, ...[...queue, ...inFlight].map((job) => job.request)])
    for (const request of requests) request.settle(stopped)
  }

  return {
    embed(texts, signal) {
      if (stopped) return Promise.reject(stopped)
      if (signal?.aborted) return Promise.reject(signal.reason)
      if (texts.length === 0) return Promise.resolve([])
      const { promise, resolve, reject } = Promise.withResolvers<readonly Float32Array[]>()
      const abort = () => request.settle(signal!.reason)
      const request: Request = {
        texts,
        vectors: new Array(texts.length),
        admitted: 0,
        answered: 0,
        settled: false,
        settle(error) {
          if (request.settled) return
          request.settled = true
          signal?.removeEventListener('abort', abort)
          if (error === undefined) return resolve(request.vectors)
          forget(request)
          reject(error)
          pump()
        },
      }
      signal?.addEventListener('abort', abort, { once: true })
      waiting.push(request)
      pump()
      return promise
    },
    ready: () => started.promise,
    stats: () => ({ ...totals, queued: queue.length, restarts: slots.map((slot) => slot.restarts) }),
    async close() {
      stop(new Error('the engine is closed'))
      await Promise.all(slots.map(({ worker }) => ended(worker)))
    },
  }
}

const closeGraceMs = 2_000

/** Lets the thread finish its run and leave; a thread that does not is ended. */
async function ended(worker: Worker): Promise<void> {
  if (worker.threadId === -1) return
  const exit = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  worker.postMessage('close' satisfies ToWorker)
  const timer = setTimeout(() => worker.terminate(), closeGraceMs)
  await exit
  clearTimeout(timer)
}
