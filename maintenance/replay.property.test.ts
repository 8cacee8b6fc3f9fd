import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SOURCE } from '../processors/ingest-documents.ts'
import { type MemoryPipeline, memoryPipeline } from '../processors/memory-pipeline.ts'
import { control, documents, inbox, redo } from '../schemas/topics.ts'
import { systemClock } from '../streams/clock.ts'
import { replayOf } from '../streams/dead-letters.ts'
import type { Topic } from '../streams/topic.ts'
import { random as randomOf } from '../test/random.ts'
import type { Entry } from './dead-letters.ts'
import { readLetters } from './read-letters.ts'
import { type Outcome, replayAll } from './replay.ts'

/**
 * Any history of good and bad records, replays in between, a repair, and a last replay of everything: what is served then
 * equals what the pipeline would write for the latest documents, and no replay ever took the place of something newer.
 */
const SEEDS = 15
const STEPS = 40
const KEYS = Array.from({ length: 12 }, (_, i) => `acme/${i}`)
const seen = { replayed: 0, superseded: 0, again: 0, impossible: 0, fromSource: 0, inBetween: 0, overtaken: 0 }

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`replays bring back what was refused and never what is older (seed ${seed})`, async () => {
    const random = randomOf(seed)
    await using run = await memoryPipeline({ partitions: 2 })
    const world = await openWorld(run)

    for (let step = 0; step < STEPS; step++) {
      const what = random()
      if (what < (step > STEPS / 2 ? 0.3 : 0.6)) await world.write(random)
      else if (what < 0.65) await run.driver.restart()
      else if (what < 0.75 && step > STEPS / 2) await world.repair()
      else {
        const share = random() < 0.5 ? 0.5 : 0
        const inBetween = async (key: string | null) => {
          if (random() >= share) return
          seen.inBetween++
          await world.write(random, key ?? undefined)
        }
        await replay(run, () => random() < 0.6, inBetween)
      }
      await run.driver.advance(10)
      assert.deepEqual(await world.wentBack(), [])
    }
    await world.repair()
    const outcomes = await replay(run, () => true)
    await run.driver.advance(10)

    assert.equal(run.driver.failure, null)
    assert.deepEqual(await run.differences(), [])
    assert.deepEqual(await world.wentBack(), [])
    assert.equal(run.index.chunks.size, run.index.served().length, 'chunks that nobody is shown are left over')
    assert.ok(outcomes.every(({ outcome }) => outcome !== 'pending'))
  })
}

test('these histories had replays of every kind', () => {
  for (const [what, count] of Object.entries(seen)) assert.ok(count >= 5, `${what}: ${count}`)
})

/** `inBetween` is what others do after it was decided and before it is sent. */
async function replay(
  run: MemoryPipeline,
  chosen: (entry: Entry) => boolean,
  inBetween: (key: string | null) => Promise<void> = async () => {},
): Promise<Outcome[]> {
  const { broker, serde, scope } = run.driver
  const log = { broker, serde, scope }
  const { entries } = await readLetters(log)
  const own = await broker.producer()
  const send: typeof own.send = async (records) => {
    // What is remembered in `control` has no document's key.
    if (records[0]!.topic !== control.name) await inBetween(records[0]!.key)
    return own.send(records)
  }
  const producer = { ...own, send }
  // The driver's clock does not move while the replay waits.
  const ports = { ...log, producer, clock: systemClock, index: run.index, epoch: 1, by: 'test' }
  const outcomes: Outcome[] = []
  for await (const each of replayAll([...entries.values()].filter(chosen), ports, {
    timeoutMs: 5_000,
    lookEveryMs: 200,
  })) {
    outcomes.push(each)
    if (each.outcome === 'indexed' || each.outcome === 'deleted') seen.replayed++
    if (each.outcome === 'superseded') seen.superseded++
    if (each.outcome === 'superseded' && each.decision.do === 'send') seen.overtaken++
    if (each.outcome === 'rejected') seen.again++
    if (each.outcome === 'impossible') seen.impossible++
    if (each.decision.do === 'send' && each.outcome === 'indexed') seen.fromSource++
  }
  return outcomes
}

/** Writes records, each later than the one before, and knows from where a document comes how late it is. */
async function openWorld({ driver }: MemoryPipeline) {
  await driver.serde.register([redo, control])
  // A schema id that becomes known by the repair: the next ones that the registry gives.
  const again = (topic: Topic, doc: string): Topic => ({ ...topic, name: doc, schema: { ...topic.schema, doc } })
  const probe = again(documents, 'probe')
  await driver.serde.register([probe])
  const nextId = driver.serde.encode(probe, documentOf('x')).readUInt32BE(1) + 1
  const unknown = new Map<Topic, number>([
    [documents, nextId],
    [inbox, nextId + 1],
  ])
  let version = 0
  const versions = new Map<string, number>()

  return {
    async write(random: () => number, as?: string): Promise<void> {
      version++
      const topic = random() < 0.6 ? inbox : documents
      const key = as ?? (random() < 0.05 ? 'no-tenant' : KEYS[Math.floor(random() * KEYS.length)]!)
      const text = random() < 0.1 ? ' \n ' : `Version ${version} of it. `.repeat(1 + Math.floor(random() ** 3 * 40))
      const value = topic === inbox ? inboxOf(text) : documentOf(text)
      const kind = random()
      const bytes = driver.serde.encode(topic, value)
      if (kind < 0.3) bytes.writeUInt32BE(unknown.get(topic)!, 1)
      else if (kind < 0.35) bytes.fill(7)
      const before = await ends(topic)
      await driver.pipe({ topic, key, ...(kind > 0.85 ? { value: null } : { bytes }) })
      for (const [partition, offset] of await ends(topic)) {
        for (let at = before.get(partition) ?? 0; at < offset; at++) {
          const own = driver.broker
            .records(topic.name)
            .find((each) => each.partition === partition && each.offset === at)
          if (own && replayOf(own.headers) === null && own.headers[SOURCE] === undefined)
            versions.set(`${topic.name}/${partition}/${at}`, version)
        }
      }
    },
    async repair(): Promise<void> {
      await driver.serde.register([again(documents, 'repaired documents'), again(inbox, 'repaired inbox')])
    },
    /** Documents that a replay brought, above newer ones. */
    async wentBack(): Promise<string[]> {
      const ids = new Map((await driver.broker.admin.topics()).map(({ id, name }) => [id, name]))
      const back: string[] = []
      const highest = new Map<string, number>()
      const originOf = new Map([...(await readLetters(driver)).entries.values()].map((each) => [each.id, each.origin]))
      for (const { key, partition, offset, headers } of driver.broker.records(documents.name)) {
        const replayed = replayOf(headers)
        const [topicId = '', at, from] = headers[SOURCE]?.toString().split('/') ?? []
        const origin = replayed === null ? null : originOf.get(replayed)
        const place = origin
          ? `${origin.topic}/${origin.partition}/${origin.offset}`
          : headers[SOURCE]
            ? `${ids.get(topicId)}/${at}/${from}`
            : `documents/${partition}/${offset}`
        const own = versions.get(place) ?? 0
        const before = highest.get(String(key)) ?? 0
        if (replayed !== null && own < before) back.push(`${key}: ${own} (${place}) came after ${before}`)
        highest.set(String(key), Math.max(own, before))
      }
      return back
    },
  }

  async function ends(topic: Topic): Promise<Map<number, number>> {
    return new Map((await driver.broker.admin.offsets(topic.name)).map(({ partition, end }) => [partition, end]))
  }
}

const documentOf = (text: string) => ({
  title: null,
  text,
  url: null,
  language: null,
  attributes: {},
  cleaning: 'c1',
})
const inboxOf = (text: string) => ({ title: null, text, url: null, language: null, attributes: {}, contentType: null })
