import type { Worker } from 'node:worker_threads'
import { Fatal, Reject } from '../streams/errors.ts'
import type { EngineStats } from './embedder.ts'
import { type Job, Lane, type Request } from './lane.ts'

/** Interactive is before bulk: somebody waits for it. */
export type Priority = 'interactive' | 'bulk'

/** What a thread is sent. Answers come in the order of the questions. */
export type ToWorker<Item> = { readonly id: number; readonly items: readonly Item[] } | 'close'
/** The first message says that the model is loaded. */
export type FromWorker<Answer> =
  | { readonly ready: string }
  | { readonly id: number; readonly answers: readonly Said<Answer>[] }
/** An error may be the thread's, and is tried again; a fault is the item's, and final. */
export type Said<Answer> = Answer | { readonly error: string } | { readonly fault: string }

/** What every answer has. */
export interface Answered {
  readonly tokens: number
  readonly truncated: boolean
  /** CPU inside `session.run`, ms: the clock would count the time that others had the core. */
  readonly runMs: number
}

export interface PoolOptions<Item> {
  /** In logs and errors. */
  readonly name: string
  /** Threads for everything. */
  readonly workers: number
  /** One thread more for what is interactive, so that it never waits behind bulk; with no workers it does everything. */
  readonly express: 'at-start' | 'at-first-use'
  readonly startWorker: () => Worker
  readonly bytesOf: (item: Item) => number
  /** Of an item that failed, for people: how it is called, and how long it is. */
  readonly describe: (item: Item) => string
  /** Admitted items of one priority that no worker has taken yet. The next ones wait their turn outside, an item from each caller at a time. */
  readonly queueTextsMax: number
  readonly queueBytesMax: number
  /** Items that a worker is sent together; it makes batches of them. */
  readonly groupTextsMax: number
  readonly log: PoolLog
}

export interface PoolLog {
  warn(facts: object, message: string): void
}

export interface Asking {
  readonly priority: Priority
  readonly signal?: AbortSignal | undefined
}

export interface Done<Answer> {
  /** One for each item, in order. */
  readonly answers: readonly Answer[]
  /** Until a worker took the first item, ms. */
  readonly queueMs: number
}

export interface Pool<Item, Answer> {
  /** Rejects with the signal's reason, with `Reject` for an item that no worker survives or that is at fault. */
  run(items: readonly Item[], asking: Asking): Promise<Done<Answer>>
  /** Resolves when all workers that start at once have loaded the model, with the execution provider that they have chosen. */
  ready(): Promise<string>
  stats(): EngineStats
  close(): Promise<void>
}

/** One is being run, the next is being tokenised. */
const inFlightPerWorkerMax = 2
const itemRetriesMax = 3
/** Workers that die before they are ready, in a row. */
const failedStartsMax = 3

interface Slot<Item, Answer> {
  worker: Worker
  ready: boolean
  readonly express: boolean
  readonly inFlight: { readonly id: number; readonly jobs: readonly Job<Item, Answer>[] }[]
  restarts: number
  failedStarts: number
}

/** Threads that each hold a model, with two queues before them. A thread that dies is replaced and its items are tried again. */
export function createPool<Item, Answer extends Answered>(options: PoolOptions<Item>): Pool<Item, Answer> {
  type Jobs = readonly Job<Item, Answer>[]
  let lastId = 0
  const bounds = { itemsMax: options.queueTextsMax, bytesMax: options.queueBytesMax }
  const lane = () => new Lane<Item, Answer>(bounds, options.bytesOf, () => ++lastId)
  const lanes = { interactive: lane(), bulk: lane() }
  const totals = { texts: 0, tokens: 0, truncated: 0, runMs: 0 }
  const started = Promise.withResolvers<string>()
  started.promise.catch(() => {})
  const laneOf = new WeakMap<Request<Item, Answer>, Lane<Item, Answer>>()
  let stopped: Error | null = null
  const slots: Slot<Item, Answer>[] = []
  if (options.express === 'at-start' || options.workers === 0) startSlot(true)
  for (let i = 0; i < options.workers; i++) startSlot(false)

  function startSlot(express: boolean): void {
    const worker = options.startWorker()
    const slot = { worker, ready: false, express, inFlight: [], restarts: 0, failedStarts: 0 }
    slots.push(slot)
    listen(slot)
  }

  function listen(slot: Slot<Item, Answer>): void {
    const { worker } = slot
    let cause: unknown
    worker.on('message', (message: FromWorker<Answer>) => onMessage(slot, message))
    worker.on('error', (error) => {
      cause = error
    })
    worker.on('exit', (code) => {
      if (!stopped) replace(slot, cause ?? new Error(`the thread ended with code ${code}`))
    })
  }

  function onMessage(slot: Slot<Item, Answer>, message: FromWorker<Answer>): void {
    if (stopped) return
    if ('ready' in message) {
      slot.ready = true
      slot.failedStarts = 0
      if (slots.every((each) => each.ready)) started.resolve(message.ready)
    } else {
      const group = slot.inFlight.shift()
      if (group?.id !== message.id) throw new Error(`a worker answered ${message.id}, not ${group?.id}`)
      for (const [at, job] of group.jobs.entries()) hear(job, message.answers[at]!)
    }
    pump()
  }

  function hear(job: Job<Item, Answer>, said: Said<Answer>): void {
    const { request, position } = job
    if ('error' in said) return retry(job, new Error(said.error))
    if ('fault' in said) return request.settle(new Reject(`${whichOf(job)} ${said.fault}`))
    totals.texts += 1
    totals.tokens += said.tokens
    totals.truncated += said.truncated ? 1 : 0
    totals.runMs += said.runMs
    request.answers[position] = said
    request.answered += 1
    if (request.answered === request.items.length) request.settle()
  }

  function retry(job: Job<Item, Answer>, cause: unknown): void {
    if (job.retries === itemRetriesMax) {
      const which = `${whichOf(job)}, ${options.describe(job.item)}`
      job.request.settle(new Reject(`the model failed on ${which}, ${itemRetriesMax + 1} times`, { cause }))
      return
    }
    job.retries += 1
    putBack([job])
  }

  function putBack(jobs: Jobs): void {
    for (const job of jobs.toReversed()) laneOf.get(job.request)!.putBack([job])
  }

  /** Answers come in order, so the first group in flight is the one that the thread died of; the others are innocent. */
  function replace(slot: Slot<Item, Answer>, cause: unknown): void {
    const [first, ...others] = slot.inFlight.splice(0)
    const died = { pool: options.name, error: cause, of: first?.jobs.map(({ item }) => options.describe(item)) }
    options.log.warn(died, 'a worker of the engine died')
    if (!slot.ready) slot.failedStarts += 1
    slot.ready = false
    putBack(others.flatMap(({ jobs }) => jobs))
    const suspects = first?.jobs ?? []
    if (suspects.length > 1) {
      for (const job of suspects) job.alone = true
      putBack(suspects)
    } else for (const job of suspects) retry(job, cause)
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
      lanes.interactive.admit()
      lanes.bulk.admit()
    } while (dispatch())
  }

  /** True if a worker took something. */
  function dispatch(): boolean {
    let took = false
    for (let depth = 0; depth < inFlightPerWorkerMax; depth++) {
      for (const slot of slots) {
        if (!slot.ready || slot.inFlight.length > depth) continue
        const jobs = nextFor(slot)
        if (jobs.length === 0) continue
        const id = jobs[0]!.id
        const now = performance.now()
        for (const { request } of jobs) request.queueMs ??= now - request.sinceMs
        slot.inFlight.push({ id, jobs })
        slot.worker.postMessage({ id, items: jobs.map(({ item }) => item) } satisfies ToWorker<Item>)
        took = true
      }
    }
    return took
  }

  function nextFor({ express }: Slot<Item, Answer>): Jobs {
    const jobs = lanes.interactive.take(options.groupTextsMax)
    if (jobs.length > 0 || (express && options.workers > 0)) return jobs
    return lanes.bulk.take(options.groupTextsMax)
  }

  function stop(reason: Error): void {
    stopped ??= reason
    started.reject(stopped)
    const inFlight = slots.flatMap((slot) => slot.inFlight.splice(0)).flatMap(({ jobs }) => jobs)
    const requests = [...lanes.interactive.requests, ...lanes.bulk.requests, ...inFlight.map((job) => job.request)]
    for (const request of new Set(requests)) request.settle(stopped)
  }

  return {
    run(items, { priority, signal }) {
      if (stopped) return Promise.reject(stopped)
      if (signal?.aborted) return Promise.reject(signal.reason)
      if (items.length === 0) return Promise.resolve({ answers: [], queueMs: 0 })
      if (priority === 'interactive' && !slots.some(({ express }) => express)) startSlot(true)
      const { promise, resolve, reject } = Promise.withResolvers<Done<Answer>>()
      const abort = () => request.settle(signal!.reason)
      const own = lanes[priority]
      const request: Request<Item, Answer> = {
        items,
        answers: new Array(items.length),
        sinceMs: performance.now(),
        queueMs: null,
        admitted: 0,
        answered: 0,
        settled: false,
        settle(error) {
          if (request.settled) return
          request.settled = true
          signal?.removeEventListener('abort', abort)
          if (error === undefined) return resolve({ answers: request.answers, queueMs: request.queueMs ?? 0 })
          own.forget(request)
          reject(error)
          pump()
        },
      }
      laneOf.set(request, own)
      signal?.addEventListener('abort', abort, { once: true })
      own.add(request)
      pump()
      return promise
    },
    ready: () => started.promise,
    stats: () => ({
      ...totals,
      queued: lanes.interactive.queued + lanes.bulk.queued,
      restarts: slots.map((slot) => slot.restarts),
    }),
    async close() {
      stop(new Error('the engine is closed'))
      await Promise.all(slots.map(({ worker }) => ended(worker)))
    },
  }
}

const whichOf = ({ position, request }: Job<unknown, unknown>): string =>
  `text ${position + 1} of ${request.items.length}`

const closeGraceMs = 2_000

/** Lets the thread finish its run and leave; a thread that does not is ended. */
async function ended(worker: Worker): Promise<void> {
  if (worker.threadId === -1) return
  const exit = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  worker.postMessage('close' satisfies ToWorker<never>)
  const timer = setTimeout(() => worker.terminate(), closeGraceMs)
  await exit
  clearTimeout(timer)
}
