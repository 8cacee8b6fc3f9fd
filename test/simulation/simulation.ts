import { embedDocuments } from '../../processors/embed-documents.ts'
import { indexVectors } from '../../processors/index-vectors.ts'
import { type Copy, type MemoryIndex, memoryIndex } from '../../processors/memory-index.ts'
import { catalogue, documents, inbox, vectors } from '../../schemas/topics.ts'
import type { Position } from '../../streams/broker.ts'
import { memoryBroker } from '../../streams/brokers/memory.ts'
import { Retry, reasonOf } from '../../streams/errors.ts'
import { partitionOf } from '../../streams/partitioner.ts'
import { groupOf } from '../../streams/runner.ts'
import { nameIn } from '../../streams/topic.ts'
import { Broken } from './broken.ts'
import { chanceOf } from './chance.ts'
import { BLANK, type Material } from './material.ts'
import { type CallFault, Network } from './network.ts'
import { Promises } from './promises.ts'
import { type Actor, Scheduler, START_MS } from './scheduler.ts'
import { inWords, PARTITIONS, type Story, type StoryEvent } from './story.ts'
import { startWorker, type Worker, type WorkerWorld, type Wrapping } from './worker.ts'

export interface Outcome {
  /** null: every promise held. */
  readonly broken: Broken | null
  /** Of everything that happened, in order. */
  readonly hash: number
  readonly counts: Counts
}

export interface Counts {
  events: number
  crashes: number
  freezes: number
  stops: number
  lostMemberships: number
  /** A process heard that partitions were taken from it. */
  revocations: number
  /** And had asked the index for something meanwhile. */
  handOversUnderWay: number
  restores: number
  compactions: number
  repeats: number
  lostCalls: number
  records: number
  deadLetters: number
  /** Chunks that nobody is shown, left at rest. */
  garbage: number
  /** Records of `progress` that came after one that was said later. */
  talkedOver: number
  virtualMs: number
}

/** Wraps what all processes share, and what each has of its own. */
export interface Planted extends Wrapping {
  store?(store: MemoryIndex): MemoryIndex
}

/**
 * Runs a story to its end, heals everything, waits until nothing more happens, and checks. Everything is a function of the
 * story: the same one gives the same outcome, event by event.
 */
export async function simulate(
  story: Story,
  material: Material,
  { planted = {}, told = null }: { planted?: Planted; told?: ((line: string) => void) | null } = {},
): Promise<Outcome> {
  const run = new Run(story, material, planted, told)
  return run.toTheEnd()
}

interface Slot {
  worker: Worker | null
  incarnation: number
}

class Run {
  readonly #story: Story
  readonly #material: Material
  readonly #scheduler: Scheduler
  readonly #world: WorkerWorld
  readonly #promises: Promises
  readonly #store: MemoryIndex
  readonly #network: Network
  readonly #outside: Actor
  readonly #slots: Slot[]
  readonly #copies = new Map<number, Copy>()
  readonly #counts: Counts
  #broken: Broken | null = null
  #healed = false

  constructor(story: Story, material: Material, planted: Planted, told: ((line: string) => void) | null) {
    this.#story = story
    this.#material = material
    const { setting, seed } = story
    this.#scheduler = new Scheduler(setting.wild, told)
    this.#outside = { name: 'world', chance: chanceOf(seed, 2), frozen: false, dead: false }
    const lost = story.events.flatMap((event) => ('call' in event ? [[event.call, event.do] as const] : []))
    this.#network = new Network(this.#scheduler, this.#outside, new Map<number, CallFault>(lost))
    const store = memoryIndex({ collection: 'simulated', space: material.space.id })
    this.#store = planted.store?.(store) ?? store
    this.#promises = new Promises(material, this.#store)
    const scheduler = this.#scheduler
    const broker = memoryBroker({
      now: () => scheduler.now,
      turn: (work) => scheduler.add(this.#outside, 'the broker turns', work, { inMs: this.#outside.chance.below(5) }),
      topicId: (name) => `id of ${name}`,
    })
    broker.faults.beforeCommit = () => scheduler.turn(this.#outside, 'a transaction ends')
    this.#slots = Array.from({ length: setting.processes }, () => ({ worker: null, incarnation: 0 }))
    this.#counts = {
      events: 0,
      crashes: 0,
      freezes: 0,
      stops: 0,
      lostMemberships: 0,
      revocations: 0,
      handOversUnderWay: 0,
      restores: 0,
      compactions: 0,
      repeats: 0,
      lostCalls: 0,
      records: 0,
      deadLetters: 0,
      garbage: 0,
      talkedOver: 0,
      virtualMs: 0,
    }
    this.#world = {
      broker,
      network: this.#network,
      scheduler,
      material,
      setting,
      wrapping: planted,
      store: this.#store,
      incarnation: 0,
      log: { send: () => Promise.reject(new Error('not open yet')), close: async () => {} },
      fetchBytesMax: setting.fetchBytesMax,
      fetchRepeats: ({ chance }) => setting.repeats > 0 && chance.hits(setting.repeats),
      published: (partition) => this.#promises.published(partition),
      appended: (records, positions) => this.#checking(() => this.#promises.appended(records, positions)),
      committed: (group, positions) => void this.#checking(() => this.#promises.committed(group, positions)),
      revoked: (process) => {
        this.#counts.revocations++
        if (this.#network.waits(process, 'index')) this.#counts.handOversUnderWay++
      },
      changed: () => void this.#checking(() => this.#promises.changed()),
      stopped: (actor, error) => this.#stopped(actor, error),
    }
  }

  async toTheEnd(): Promise<Outcome> {
    const { scope } = this.#material
    const { broker } = this.#world
    await broker.admin.createTopics(
      catalogue.map((topic) => ({
        name: nameIn(scope, topic),
        partitions: topic.partitions === 'shared' ? PARTITIONS : topic.partitions,
        replicationFactor: 1,
        config: topic.config,
      })),
    )
    Object.assign(this.#world, { log: await broker.producer() })
    for (const slot of this.#slots.keys()) this.#start(slot)
    let endMs = 0
    for (const event of this.#story.events) {
      if ('call' in event) continue
      endMs = Math.max(endMs, event.atMs)
      this.#scheduler.add(this.#outside, inWords(event), () => this.#happen(event), { inMs: event.atMs })
    }
    this.#scheduler.add(this.#outside, 'everything is healed', () => this.#heal(), { inMs: endMs + 1 })
    await this.#untilRest()
    if (this.#broken === null) await this.#checking(() => this.#atRest())
    const { counts } = this.#network
    return {
      broken: this.#broken,
      hash: this.#scheduler.hash,
      counts: {
        ...this.#counts,
        events: this.#scheduler.steps,
        lostCalls: Object.values(counts).reduce((a, b) => a + b, 0),
        records: this.#promises.records,
        deadLetters: [...this.#promises.letters.values()].reduce((a, b) => a + b, 0),
        garbage: this.#promises.garbage,
        talkedOver: this.#promises.talkedOver,
        virtualMs: this.#scheduler.now - START_MS,
      },
    }
  }

  async #untilRest(): Promise<void> {
    const scheduler = this.#scheduler
    let lookAt = 0
    while (this.#broken === null && (await scheduler.step())) {
      if (scheduler.steps > STEPS_MAX || scheduler.now - START_MS > VIRTUAL_MS_MAX)
        this.#broken = new Broken('it does not come to rest', this.#notAtRest() ?? 'events without end')
      if (!this.#healed || scheduler.now < lookAt || this.#notAtRest() !== null) continue
      if (lookAt > 0) return
      // Once more, after everybody has looked at the index again.
      lookAt = scheduler.now + REST_MS
    }
  }

  /** What is still to be done; null when nothing is. */
  #notAtRest(): string | null {
    const underWay = this.#scheduler.underWay ?? this.#network.underWay
    if (underWay !== null) return `${underWay} is under way`
    const { broker, store } = this.#world
    const { open } = this.#promises.ingested
    if (open !== null) return `${open} is not ingested`
    for (const { worker } of this.#slots)
      if (worker === null || !worker.running || !worker.idle()) return 'a process works'
    const ends = (name: string) => broker.ends(name)
    const ofDocuments = ends(documents.name)
    for (const [partition, end] of ends(nameIn(this.#material.scope, vectors)).entries()) {
      const marker = store.markers.get(partition)
      if (end > 0 && marker?.applied !== end - 1)
        return `partition ${partition} is applied up to ${marker?.applied} of ${end - 1}`
      const wanted = ofDocuments[partition]! - 1
      if (wanted >= 0 && marker?.low !== wanted)
        return `the watermark of partition ${partition} is ${marker?.low} of ${wanted}`
    }
    return null
  }

  #atRest(): void {
    this.#promises.atRest(`id of ${documents.name}`)
    const { crashes, freezes, restores, handOversUnderWay } = this.#counts
    const { 'done late': late, 'cut off': cut } = this.#network.counts
    if (this.#promises.garbage > 0 && crashes + freezes + restores + handOversUnderWay + late + cut === 0)
      throw new Broken('garbage that nothing explains', `${this.#promises.garbage} chunks`)
  }

  #start(slot: number): void {
    const at = this.#slots[slot]!
    if (at.worker !== null) return
    const incarnation = at.incarnation++
    const actor: Actor = {
      name: `w${slot}.${incarnation}`,
      chance: chanceOf(this.#story.seed, 3, slot, incarnation),
      frozen: false,
      dead: false,
    }
    at.worker = startWorker(this.#world, actor)
  }

  #happen(event: StoryEvent): void {
    if ('call' in event) return
    switch (event.do) {
      case 'put':
      case 'delete':
      case 'poison':
      case 'blank':
        return void this.#write(event.key, event.do, event.text)
      case 'crash':
        return this.#crash(event.process, event.forMs)
      case 'freeze':
        return this.#freeze(event.process, event.forMs)
      case 'stop':
        return void this.#stop(event.process, event.forMs)
      case 'lose membership':
        return this.#loseMembership(event.process)
      case 'copy':
        return void this.#copies.set(event.number, this.#store.copy())
      case 'restore':
        return this.#restore(event.number)
      case 'compact':
        return void this.#compact()
      case 'repeat':
        return void this.#repeat(event.number)
    }
  }

  async #write(key: string, what: 'put' | 'delete' | 'poison' | 'blank', text: number): Promise<void> {
    const { serde, texts } = this.#material
    const words = what === 'blank' ? BLANK : texts[text]!
    const to = this.#story.setting.ingest ? inbox : documents
    const value =
      what === 'delete'
        ? null
        : what === 'poison'
          ? Buffer.from('poison')
          : to === inbox
            ? serde.encode(inbox, {
                text: words,
                contentType: null,
                title: null,
                url: null,
                language: null,
                attributes: {},
              })
            : this.#material.documentOf(words)
    const records = [{ topic: to.name, partition: partitionOf(key, PARTITIONS), key, value }]
    await this.#world.appended(records, await this.#world.log.send(records))
  }

  #crash(slot: number, forMs: number): void {
    const at = this.#slots[slot]!
    if (at.worker === null) return
    this.#counts.crashes++
    this.#end(at.worker)
    at.worker = null
    this.#scheduler.add(this.#outside, `process ${slot} is started again`, () => this.#start(slot), { inMs: forMs })
  }

  /** Without a word: its connections break, and the coordinator waits for its session to end. */
  #end({ actor, groups }: Worker): void {
    actor.dead = true
    this.#network.hangUp(actor)
    const { sessionMs } = this.#story.setting
    for (const group of groups)
      this.#scheduler.add(this.#outside, `the session of ${actor.name} ends`, () => group.end(), { inMs: sessionMs })
  }

  #freeze(slot: number, forMs: number): void {
    const worker = this.#slots[slot]!.worker
    if (worker === null || worker.actor.frozen) return
    this.#counts.freezes++
    const { actor, groups } = worker
    actor.frozen = true
    const { sessionMs } = this.#story.setting
    this.#scheduler.add(
      this.#outside,
      `the session of ${actor.name} ends`,
      () => {
        if (actor.frozen) for (const group of groups) group.end()
      },
      { inMs: sessionMs },
    )
    this.#scheduler.add(this.#outside, `${actor.name} wakes up`, () => this.#wake(worker), { inMs: forMs })
  }

  #wake({ actor, groups }: Worker): void {
    if (!actor.frozen || actor.dead) return
    this.#scheduler.thaw(actor)
    for (const group of groups) if (group.ended) group.expire()
  }

  /** Asked to end: it finishes what is under way, and leaves. */
  async #stop(slot: number, forMs: number): Promise<void> {
    const at = this.#slots[slot]!
    const { worker } = at
    if (worker === null || !worker.running || worker.actor.frozen) return
    this.#counts.stops++
    at.worker = null
    await worker.close()
    this.#end(worker)
    this.#scheduler.add(this.#outside, `process ${slot} is started again`, () => this.#start(slot), { inMs: forMs })
  }

  /** The coordinator does not hear of it any more, and it works on for a while. */
  #loseMembership(slot: number): void {
    const worker = this.#slots[slot]!.worker
    if (worker === null || worker.actor.frozen) return
    this.#counts.lostMemberships++
    for (const group of worker.groups) group.expire()
  }

  #restore(number: number): void {
    const copy = this.#copies.get(number)
    if (copy === undefined) return
    this.#counts.restores++
    this.#network.breakAll('index')
    this.#world.incarnation++
    const before = new Map([...this.#store.present].map(([key, { fence }]) => [key, fence.offset]))
    this.#store.restore(copy)
    void this.#checking(() => this.#promises.restored(before))
  }

  /** What retention allows: nothing that an owner, or a copy that may be restored, has not passed. */
  async #compact(): Promise<void> {
    this.#counts.compactions++
    const { broker, store } = this.#world
    const { scope } = this.#material
    const name = nameIn(scope, vectors)
    const committed = async (processor: typeof embedDocuments | typeof indexVectors, topic: string) => {
      const known = await broker.admin.committed(groupOf(scope, processor as never), topic)
      return offsetsOf(known)
    }
    const ofDocuments = await committed(embedDocuments, documents.name)
    const ofVectors = await committed(indexVectors, name)
    const markers = [store.markers, ...[...this.#copies.values()].map((copy) => new Map(copy.markers))]
    const passed = ofVectors.map((offset, partition) =>
      Math.min(offset, ...markers.map((each) => (each.get(partition)?.applied ?? -1) + 1)),
    )
    broker.compact(documents.name, 'keep', ofDocuments)
    broker.compact(name, this.#outside.chance.hits(0.5) ? 'keep' : 'drop', passed)
  }

  /** The embed stage repeats itself: a send of a zombie, long ago, arrives now. */
  async #repeat(number: number): Promise<void> {
    const records = this.#world.broker
      .records(nameIn(this.#material.scope, vectors))
      .filter(({ key }) => key !== null && key[0] !== 0x7e)
    if (records.length === 0) return
    this.#counts.repeats++
    const { topic, partition, key, value, headers } = records[number % records.length]!
    const again = [{ topic, partition, key: key!.toString(), value, headers }]
    await this.#world.appended(again, await this.#world.log.send(again))
  }

  #heal(): void {
    this.#healed = true
    this.#network.healed = true
    for (const { worker } of this.#slots) if (worker !== null) this.#wake(worker)
  }

  #stopped(actor: Actor, error: Error): void {
    const slot = this.#slots.findIndex(({ worker }) => worker?.actor === actor)
    if (actor.dead || slot < 0) return
    // A start that finds the world unwell ends the process, and whoever watches it starts it again.
    if (error instanceof Retry) return this.#crash(slot, 500)
    this.#broken ??= new Broken('a stage stopped for good', `${actor.name}: ${reasonOf(error)}`)
  }

  async #checking(check: () => void | Promise<void>): Promise<void> {
    try {
      await check()
    } catch (error) {
      if (!(error instanceof Broken)) throw error
      this.#scheduler.note(null, `BROKEN ${error.message}`)
      this.#broken ??= error
    }
  }
}

const offsetsOf = (known: readonly Position[]): number[] =>
  Array.from({ length: PARTITIONS }, (_, partition) => known.find((each) => each.partition === partition)?.offset ?? 0)

/** A run that does not end in these never does: the longest that ended took a fifth. */
const STEPS_MAX = 50_000
const VIRTUAL_MS_MAX = 600_000
/** Nothing more happens for this long, which is longer than anybody looks at the index again. */
const REST_MS = 4_500
