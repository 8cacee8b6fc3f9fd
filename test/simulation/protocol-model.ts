import { compareFences, fenceText } from '../../processors/fence.ts'
import type { Revision } from '../../processors/index-plan.ts'
import type { LeftChunks, Manifest, Marker, Write } from '../../processors/vector-index.ts'
import type { DocumentVectors } from '../../schemas/records.ts'
import { Broken } from './broken.ts'
import { type Chance, chanceOf } from './chance.ts'
import { applyBatch, begin, type Memory, type Operation, type ReadAnswer } from './protocol-owner.ts'
import type { Rules } from './protocol-rules.ts'

/**
 * A model of the index-writing protocol, searched at random for broken promises: one partition of `vectors` (revision = the
 * document's offset in `documents`; the embed stage may append older ones again), one index, any number of owners of which all
 * but the newest are zombies that may wake at any step. Each element of a request is a step of its own; owners crash, freeze,
 * wake; the index is now and then replaced by an older copy of itself. What an owner decides is the code's own (`planKey`,
 * `judge`, `compareFences`), and what it asks of the index is compared with `index-vectors` by a test.
 *
 * Checked: a reader never sees a document go back, mixed, or with missing chunks; no marker passes what is not applied; at rest the
 * served documents equal the latest records, and each record has a receipt. Answers how many chunks are stored that nobody is shown.
 */
export function runModel(seed: number, rules: Rules): { garbage: number } {
  return new Model(seed, rules).run()
}

const STEPS = 120
const RECORDS_MAX = 12
/** How often what happens, as bounds of a number below 1: in some runs there are many owners, in others the index is replaced. */
const ZOMBIES = { owner: 0.29, crash: 0.33, compact: 0.34, audit: 0.345, copy: 0.35, restore: 0.36 }
const RESTORES = { owner: 0.26, crash: 0.27, compact: 0.275, audit: 0.28, copy: 0.31, restore: 0.34 }

interface Point {
  readonly key: string
  readonly fence: string
  readonly ordinal: number
  readonly text: string
}

interface Copy {
  readonly points: ReadonlyMap<string, Point>
  readonly manifests: ReadonlyMap<string, Manifest>
  readonly marker: Marker | null
}

interface Actor {
  /** A step; `idle`: there is nothing to do. */
  step(): 'idle' | 'over' | 'on'
  /** What it was answered and has not heard yet. */
  readonly unheard: ReadAnswer | undefined
}

class Model {
  readonly #chance: Chance
  readonly #rules: Rules
  readonly #keys: readonly string[]
  readonly #bounds: typeof ZOMBIES
  #points = new Map<string, Point>()
  #manifests = new Map<string, Manifest>()
  #marker: Marker | null = null
  /** null: compacted away. */
  readonly #log: (Revision | null)[] = []
  readonly #all: Revision[] = []
  readonly #copies: Copy[] = []
  readonly #receipts = new Set<number>()
  readonly #seen = new Map<string, number>()
  #actors: Actor[] = []
  #committed = 0
  #documents = 0
  #markers = 0
  /** A restored index lags until the owner has caught up: a document may be behind, and no reader is promised anything. */
  #behind = false

  constructor(seed: number, rules: Rules) {
    this.#chance = chanceOf(seed, 7)
    this.#rules = rules
    this.#keys = ['k0', 'k1', 'k2'].slice(0, 1 + this.#chance.below(3))
    this.#bounds = this.#chance.hits(0.5) ? ZOMBIES : RESTORES
  }

  run(): { garbage: number } {
    this.#actors = [this.#owner()]
    for (let i = 0; i < STEPS; i++) {
      this.#happen(this.#chance.next())
      this.#observe()
    }
    // All zombies wake and finish.
    for (const actor of [...this.#actors]) for (let i = 0; i < 300 && actor.step() === 'on'; i++);
    const owner = this.#owner()
    for (let i = 0; i < 600 && !(owner.step() === 'idle' && this.#applied === this.#log.length); i++);
    return this.#atRest()
  }

  get #applied(): number {
    return (this.#marker?.applied ?? -1) + 1
  }

  #happen(x: number): void {
    const chance = this.#chance
    const { owner, crash, compact, audit, copy, restore } = this.#bounds
    if (x < 0.25 && this.#log.length < RECORDS_MAX) this.#append()
    else if (x < owner) this.#actors.push(this.#owner())
    else if (x < crash && this.#actors.length > 0) this.#actors.splice(chance.below(this.#actors.length), 1)
    else if (x < compact) this.#compact()
    else if (x < audit && this.#rules.revisionIds) this.#actors.unshift(this.#audit())
    else if (x < copy) this.#copies.push(this.#copy())
    else if (x < restore && this.#copies.length > 0) this.#restore(chance.pick(this.#copies))
    else if (this.#actors.length > 0) {
      const actor = chance.pick(this.#actors)
      if (actor.step() === 'over') this.#actors.splice(this.#actors.indexOf(actor), 1)
    }
  }

  /** One in five: the embed stage repeats itself, late. */
  #append(): void {
    const chance = this.#chance
    if (this.#all.length > 0 && chance.hits(0.2)) this.#log.push(chance.pick(this.#all))
    else {
      const texts = chance.hits(0.25)
        ? null
        : Array.from({ length: 1 + chance.below(3) }, () => chance.pick(['a', 'b']))
      const revision = revisionOf(chance.pick(this.#keys), this.#documents++, texts)
      this.#log.push(revision)
      this.#all.push(revision)
    }
  }

  #compact(): void {
    const passed = this.#copies.map(({ marker }) => (marker?.applied ?? -1) + 1)
    const end = this.#rules.compactionLag
      ? Math.min(this.#log.length, this.#applied, this.#committed, ...passed)
      : this.#log.length - 1
    const newest = new Set<string>()
    // The last offset of a key stays, whatever its revision.
    for (let i = end - 1; i >= 0; i--) {
      const key = this.#log[i]?.key
      if (key === undefined) continue
      if (newest.has(key)) this.#log[i] = null
      else newest.add(key)
    }
  }

  #copy(): Copy {
    return { points: new Map(this.#points), manifests: new Map(this.#manifests), marker: this.#marker }
  }

  /** Whoever waits for an answer that was on its way loses it, and begins again. */
  #restore({ points, manifests, marker }: Copy): void {
    const isTold = ({ unheard }: Actor) => this.#rules.oneConnection && unheard !== undefined
    this.#actors = this.#actors.map((actor) => (isTold(actor) ? this.#owner() : actor))
    this.#points = new Map(points)
    this.#manifests = new Map(manifests)
    this.#marker = marker
    this.#behind = true
    this.#seen.clear()
    for (const actor of this.#actors) (actor as Partial<Owner>).loseRequest?.()
  }

  #owner(): Owner {
    return new Owner(this.#work.bind(this), (operation) => this.#steps(operation))
  }

  /** What an owner does for as long as it lives. */
  *#work(memory: Memory): Generator<Operation | (() => void) | 'idle', void, ReadAnswer | undefined> {
    const rules = this.#rules
    for (;;) {
      let at = yield* begin(this.#committed, memory, rules)
      for (;;) {
        if (at >= this.#log.length) {
          yield 'idle'
          // Looked at now and then, so that a replaced index is noticed without traffic.
          const { marker } = (yield { kind: 'read', keys: [] })!
          if (memory.written !== null && (marker?.applied ?? -1) < memory.written.applied) break
          continue
        }
        const from = at
        const end = Math.min(this.#log.length, from + 1 + this.#chance.below(3))
        const revisions = this.#log.slice(from, end).filter((each) => each !== null)
        const through = end - 1
        const now = ++this.#markers
        const batch = { partition: 0, topicId: 't', lowEpoch: 1, low: -1, through, asOf: now, now, revisions }
        if ((yield* applyBatch(batch, memory, rules)) === 'start over') break
        const receipts = () => {
          for (let offset = from; offset < end; offset++) this.#receipts.add(offset)
        }
        const commit = () => {
          this.#committed = Math.max(this.#committed, end)
        }
        yield rules.receiptsFirst ? receipts : commit
        yield rules.receiptsFirst ? commit : receipts
        at = end
      }
    }
  }

  /** The elements of a request, each done in a step of its own; the last step's result is the answer. */
  #steps(operation: Operation): (() => ReadAnswer | undefined)[] {
    if (operation.kind === 'read') {
      const { keys } = operation
      return [() => ({ manifests: keys.map((key) => this.#manifests.get(key) ?? null), marker: this.#marker })]
    }
    if (operation.kind === 'apply') {
      const written = operation.writes.filter(({ chunks }) => chunks !== null)
      return [
        ...written.map((write) => () => this.#writeChunks(write)),
        ...operation.writes.map((write) => () => this.#writeManifest(write)),
      ]
    }
    const { left, marker, expected } = operation
    return [...left.map((each) => () => this.#remove(each)), () => this.#writeMarker(marker, expected)]
  }

  #idOf(key: string, fence: string, ordinal: number): string {
    return this.#rules.revisionIds ? `${key} ${fence} ${ordinal}` : `${key} ${ordinal}`
  }

  #writeChunks({ manifest: { key, content }, chunks }: Write): undefined {
    const fence = fenceText(content!)
    for (const [ordinal, { text }] of chunks!.chunks.entries())
      this.#points.set(this.#idOf(key, fence, ordinal), { key, fence, ordinal, text })
  }

  #writeManifest({ expected, manifest }: Write): undefined {
    const present = this.#manifests.get(manifest.key)
    const isAsRead = expected === null ? present === undefined : present && compareFences(present.fence, expected) === 0
    if (isAsRead || !this.#rules.compareAndSet) this.#manifests.set(manifest.key, manifest)
  }

  #remove({ key, fence, count }: LeftChunks): undefined {
    const present = this.#manifests.get(key)?.chunks ?? 0
    for (let ordinal = this.#rules.revisionIds ? 0 : present; ordinal < count; ordinal++)
      this.#points.delete(this.#idOf(key, fenceText(fence), ordinal))
  }

  #writeMarker(marker: Marker, expected: Marker | null): undefined {
    if (this.#marker !== expected) return
    this.#marker = marker
    for (const revision of this.#log.slice(0, marker.applied + 1)) {
      if (revision === null) continue
      const present = this.#manifests.get(revision.key)?.fence ?? null
      if (present === null || compareFences(present, revision.fence) < 0)
        throw new Broken(
          'the marker passes unapplied work',
          `${marker.applied}, not ${revision.key} at ${revision.fence.offset}`,
        )
    }
  }

  /** Removes what no manifest, as it saw them at its start, shows. */
  #audit(): Actor {
    const seen = new Map(this.#manifests)
    const points = [...this.#points]
    return {
      unheard: undefined,
      step: () => {
        for (let next = points.pop(); next !== undefined; next = points.pop()) {
          const [id, { key, fence, ordinal }] = next
          const manifest = seen.get(key)
          if (manifest === undefined) continue
          const isShown =
            manifest.content !== null && fenceText(manifest.content) === fence && ordinal < manifest.chunks
          const isAbove = Number(fence.split(':')[1]) > manifest.fence.offset
          if (isShown || (isAbove && this.#rules.garbageBelow)) continue
          this.#points.delete(id)
          return 'on'
        }
        return 'over'
      },
    }
  }

  /** The texts that are served; null where one is missing. */
  #read({ key, content, chunks }: Manifest): (string | null)[] {
    const fence = content === null ? '' : fenceText(content)
    return Array.from({ length: content === null ? 0 : chunks }, (_, ordinal) => {
      const point = this.#points.get(this.#idOf(key, fence, ordinal))
      return point === undefined ? null : point.text
    })
  }

  #observe(): void {
    if (this.#behind) return
    for (const manifest of this.#manifests.values()) {
      const { key, fence } = manifest
      const before = this.#seen.get(key) ?? -1
      if (fence.offset < before) throw new Broken('a document goes back', `${key} from ${before} to ${fence.offset}`)
      this.#seen.set(key, fence.offset)
      this.#whole(manifest)
    }
  }

  #whole(manifest: Manifest): void {
    const texts = this.#read(manifest)
    const place = `${manifest.key} at ${manifest.fence.offset}: ${texts.join(' ')}`
    if (texts.includes(null)) throw new Broken('chunks are missing', place)
    const wanted = textsOf(this.#all[manifest.fence.offset]!)
    if (texts.join(' ') !== wanted.join(' '))
      throw new Broken('a document is mixed', `${place}, not ${wanted.join(' ')}`)
  }

  #atRest(): { garbage: number } {
    this.#behind = false
    this.#seen.clear()
    this.#observe()
    const latest = new Map(this.#all.map((revision) => [revision.key, revision]))
    for (const [key, { fence }] of latest) {
      const present = this.#manifests.get(key)?.fence.offset ?? -1
      if (present !== fence.offset)
        throw new Broken('at rest a document is not the latest', `${key} is at ${present}, not ${fence.offset}`)
    }
    for (const offset of this.#log.keys())
      if (!this.#receipts.has(offset)) throw new Broken('an offset has no receipt', `${offset}`)
    const shown = [...this.#manifests.values()].reduce((sum, manifest) => sum + this.#read(manifest).length, 0)
    return { garbage: this.#points.size - shown }
  }
}

type Work = Generator<Operation | (() => void) | 'idle', void, ReadAnswer | undefined>

class Owner implements Actor {
  readonly #memory: Memory = { written: null }
  readonly #elements: (operation: Operation) => (() => ReadAnswer | undefined)[]
  readonly #start: (memory: Memory) => Work
  #work: Work
  #todo: (() => ReadAnswer | undefined)[] = []
  #answer: ReadAnswer | undefined

  constructor(work: (memory: Memory) => Work, elements: (operation: Operation) => (() => ReadAnswer | undefined)[]) {
    this.#start = work
    this.#work = work(this.#memory)
    this.#elements = elements
  }

  get unheard(): ReadAnswer | undefined {
    return this.#answer
  }

  step(): 'idle' | 'over' | 'on' {
    const element = this.#todo.shift()
    if (element !== undefined) {
      this.#answer = element()
      return 'on'
    }
    const { value, done } = this.#work.next(this.#answer)
    this.#answer = undefined
    if (done || value === undefined) return 'over'
    if (value === 'idle') return 'idle'
    if (typeof value === 'function') value()
    else this.#todo = this.#elements(value)
    return 'on'
  }

  /** A request that is not done to its end is cut off, and the owner begins again. */
  loseRequest(): void {
    if (this.#todo.length === 0) return
    this.#todo = []
    this.#answer = undefined
    this.#work = this.#start(this.#memory)
  }
}

const nothing = Buffer.of()

export function revisionOf(key: string, offset: number, texts: readonly string[] | null): Revision {
  const fence = { epoch: 1, offset, derivation: 0 }
  const vectors: DocumentVectors | null = texts && {
    space: 'es_model',
    ...fence,
    title: null,
    url: null,
    language: null,
    attributes: {},
    acl: null,
    pipeline: 'p',
    contentHash: texts.join(' '),
    chunks: texts.map((text, i) => ({
      start: i,
      end: i + 1,
      text,
      hash: text,
      vector: nothing,
      termIndices: nothing,
      termValues: nothing,
    })),
  }
  return { key, partition: 0, fence, vectors, rejected: null }
}

const textsOf = ({ vectors }: Revision): readonly string[] => vectors?.chunks.map(({ text }) => text) ?? []
