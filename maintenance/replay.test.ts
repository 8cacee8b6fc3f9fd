import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryPipeline } from '../processors/memory-pipeline.ts'
import { control, deadLetters, inbox, redo } from '../schemas/topics.ts'
import { systemClock } from '../streams/clock.ts'
import type { DeadLetter } from '../streams/dead-letters.ts'
import { readLetters } from './read-letters.ts'
import { replayAll } from './replay.ts'

test('of two refused records of one key in a source only the later is sent again, with its headers', async () => {
  await using run = await memoryPipeline({ partitions: 1 })
  const { broker, serde, scope } = run.driver
  await serde.register([redo, control])
  const blank = { text: ' ', contentType: null, title: null, url: null, language: null, attributes: {} }
  await run.driver.pipe({ key: 'acme/a', value: blank, headers: { from: 'crawler' } })
  await run.driver.pipe({ key: 'acme/a', value: blank, headers: { from: 'crawler' } })
  const log = { broker, serde, scope }
  const entries = [...(await readLetters(log)).entries.values()]
  const ports = {
    ...log,
    index: run.index,
    epoch: 1,
    by: 'test',
    clock: systemClock,
    producer: await broker.producer(),
  }

  const outcomes = await Array.fromAsync(replayAll(entries, ports, { timeoutMs: 10_000 }))

  assert.deepEqual(
    outcomes.map(({ entry, outcome, count }) => [entry.origin.offset, outcome, count]),
    [
      [0, 'superseded', 1],
      [1, 'rejected', 2],
    ],
  )
  assert.match(outcomes[0]!.detail, /inbox 0\/1 is a later record of the key/)
  const sent = broker.records(inbox.name)
  assert.deepEqual(sent[2]!.value, sent[1]!.value)
  const last = (await run.driver.values(deadLetters)).at(-1) as DeadLetter
  assert.deepEqual([last.headers.from?.toString(), last.headers['replay-of']?.toString()], ['crawler', entries[1]!.id])
})
