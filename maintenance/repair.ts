import assert from 'node:assert'
import { compareFences, type Fence } from '../processors/fence.ts'
import type { NewRecord } from '../streams/broker.ts'
import { type ConfirmContext, confirm } from './confirm.ts'
import { garbageOf, type Kind } from './findings.ts'
import type { Latest } from './latest-revisions.ts'
import { redoRecord } from './redo.ts'
import { documentsIn } from './world.ts'

export interface Todo {
  readonly kind: Kind
  readonly key: string
  readonly detail: string
  /** The fence of its manifest; null if there is none. */
  readonly present: Fence | null
  readonly latest: Latest | null
}

export interface Repaired extends Todo {
  /** Why it is not repaired; null: it is. */
  readonly left: string | null
}

/**
 * Derives documents again through `redo`, from their records in `documents` and never from a cache (what nobody can read is then
 * rejected once more, and deleted with the reason); waits until the index has them; and looks at each again. What the old chunks of a lost manifest leave is removed then too.
 */
export async function* repairAll(
  context: ConfirmContext,
  todo: readonly Todo[],
  options: { signal: AbortSignal; waitMs: number },
): AsyncGenerator<Repaired> {
  // The first thing that is wrong with a document is what is repaired.
  const all = [...new Map(todo.toReversed().map((each) => [each.key, each])).values()]
  for (let first = 0; first < all.length; first += KEYS_PER_BATCH) {
    const batch = all.slice(first, first + KEYS_PER_BATCH)
    const refused = await send(context, batch, options.signal)
    const sent = batch.filter(({ key }) => !refused.has(key))
    await applied(context, sent, options)
    yield* verified(context, batch, refused)
  }
}

/** Where a document that is to be derived again has its revision. */
export function revisionOf({ present, latest }: Todo, epoch: number): { epoch: number; offset: number } | null {
  if (latest === null) return present
  const ahead =
    present !== null && (present.epoch > epoch || (present.epoch === epoch && present.offset > latest.offset))
  // What documents does not have any more was in it once: nothing derived from an older revision can take its place.
  return ahead && latest.live ? null : ahead ? present : { epoch, offset: latest.offset }
}

/** Sends what can be derived again; answers the others with the reason. */
async function send(
  context: ConfirmContext,
  batch: readonly Todo[],
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const { world } = context
  const { serde, scope, partitions, epoch } = world
  const refused = new Map<string, string>()
  let records: NewRecord[] = []
  let bytes = 0
  for await (const { todo, value } of withValues(context, batch, signal)) {
    const revision = revisionOf(todo, epoch)
    assert.ok(todo.latest !== null || todo.kind === 'orphan', `${todo.key}: only an orphan is deleted`)
    if (revision === null) {
      refused.set(
        todo.key,
        `the index has offset ${todo.present!.offset}, which is not in documents: restore it, or rebuild`,
      )
      continue
    }
    const { key, present, kind } = todo
    const why = `${kind === 'older' ? 'renew' : 'repair'}: ${kind}, by the audit`
    records.push(redoRecord({ key, revision, present, value, why }, { serde, scope, partitions }))
    bytes += value?.length ?? 0
    if (bytes < SEND_BYTES_MAX) continue
    await world.send(records)
    records = []
    bytes = 0
  }
  if (records.length > 0) await world.send(records)
  return refused
}

/** Each with its record's value in `documents`: null where there is none, or it deletes. What was replaced meanwhile is left out. */
async function* withValues(
  { world: { broker, scope }, partition }: ConfirmContext,
  batch: readonly Todo[],
  signal: AbortSignal,
): AsyncGenerator<{ todo: Todo; value: Buffer | null }> {
  const live = new Map<number, Todo>()
  for (const todo of batch) {
    if (todo.latest?.live) live.set(todo.latest.offset, todo)
    else yield { todo, value: null }
  }
  for (const { from, to } of runsOf([...live.keys()])) {
    for await (const { records } of broker.read({ topic: documentsIn(scope), partition, from, to, signal })) {
      for (const { offset, key, value } of records) {
        const todo = live.get(offset)
        if (todo !== undefined && value !== null && key?.toString('utf8') === todo.key) yield { todo, value }
      }
    }
  }
}

/** Offsets in runs that are read at once: what lies between two of them is cheaper to read than to seek. */
export function runsOf(offsets: readonly number[]): { from: number; to: number }[] {
  const runs: { from: number; to: number }[] = []
  for (const offset of offsets.toSorted((a, b) => a - b)) {
    const last = runs.at(-1)
    if (last !== undefined && offset - last.to < GAP_OFFSETS_MAX) last.to = offset + 1
    else runs.push({ from: offset, to: offset + 1 })
  }
  return runs
}

/** Resolves when the index has all of them, or nothing moves any more. */
async function applied(
  { world, read }: ConfirmContext,
  sent: readonly Todo[],
  { signal, waitMs }: { signal: AbortSignal; waitMs: number },
): Promise<void> {
  const { clock, contents } = world
  let open = sent.map((todo) => ({ key: todo.key, before: todo.present }))
  let movedAt = clock.now()
  while (open.length > 0 && clock.now() - movedAt < waitMs) {
    await clock.wait(LOOK_EVERY_MS, signal)
    signal.throwIfAborted()
    const manifests = await contents.manifestsOf(open.map(({ key }) => key))
    await read(open.length)
    const left = open.filter(({ before }, i) => {
      const now = manifests[i]?.fence ?? null
      return now === null || (before !== null && compareFences(now, before) <= 0)
    })
    if (left.length < open.length) movedAt = clock.now()
    open = left
  }
}

async function* verified(
  context: ConfirmContext,
  batch: readonly Todo[],
  refused: ReadonlyMap<string, string>,
): AsyncGenerator<Repaired> {
  const byKey = new Map(batch.map((todo) => [todo.key, todo]))
  for await (const { key, held, expected, fault } of confirm(context, [...byKey.keys()])) {
    const todo = byKey.get(key)!
    byKey.delete(key)
    const garbage = garbageOf(held, expected)
    if (garbage.length > 0) await context.world.contents.remove(garbage.map(({ id }) => id))
    const reason = refused.get(key)
    const unmoved = fault !== null && compareNullable(held.manifest?.fence ?? null, todo.present) === 0
    const left =
      fault === null
        ? null
        : reason || `${fault.detail}${unmoved ? '; it was not derived again in time: see whether a worker runs' : ''}`
    yield { ...todo, left }
  }
  // Moving all the while: somebody writes it, and nothing was wrong with what is there now.
  for (const todo of byKey.values()) yield { ...todo, left: null }
}

const compareNullable = (a: Fence | null, b: Fence | null): number =>
  a === null || b === null ? (a === b ? 0 : 1) : compareFences(a, b)

const KEYS_PER_BATCH = 500
const SEND_BYTES_MAX = 4 * 1024 * 1024
const GAP_OFFSETS_MAX = 2_000
const LOOK_EVERY_MS = 100
