import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { serverMessage } from '../../services/query/answers.ts'
import { random } from '../random.ts'
import { until } from '../until.ts'
import { heldMiB } from './memory.ts'
import { Mutations } from './mutations.ts'
import { type PlayedService, playedService } from './played-service.ts'
import { frame, type RawSocket, rawSocket } from './raw-socket.ts'
import { connected } from './talker.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/protocol.md'), 'utf8')
const messages = [...page.matchAll(/^→ (.*)$/gm)].map(([, json = '']) => JSON.parse(json) as object)

test('whatever frames come, the service neither breaks nor fails nor keeps anything of them', async (t) => {
  for (const seed of [1, 2]) {
    await using service = await playedService({ standingMax: 50 })
    const bystander = await connected(service.url)
    const mutations = new Mutations(random(seed), messages)
    // What is made once is made.
    await fuzz(service, mutations, 1_000)
    await forgotten(service)
    const before = await heldMiB()

    const counts = await fuzz(service, mutations, 6_000)

    await forgotten(service)
    const grownBy = (await heldMiB()) - before
    const what = `seed ${seed}: ${JSON.stringify(counts)}, ${grownBy.toFixed(1)} MiB grown`
    t.diagnostic(what)
    assert.deepEqual(service.faults, [], what)
    assert.deepEqual(
      counts.answers.filter((answer) => !serverMessage.safeParse(JSON.parse(answer)).success),
      [],
      what,
    )
    assert.ok(counts.frames >= 6_000 && counts.closed > 20 && counts.results > 300 && counts.errors > 500, what)
    assert.ok(grownBy < 10, what)
    assert.equal((await bystander.ask({ type: 'search', id: 'last', query: 'a' })).type, 'result')
  }
})

class Counts {
  frames = 0
  closed = 0
  results = 0
  errors = 0
  /** One of each shape would do; all of them are few. */
  readonly answers: string[] = []
  toJSON() {
    const { frames, closed, results, errors } = this
    return { frames, closed, results, errors }
  }
}

/** Some connections, each with a frame in turn; whoever is closed comes back. */
async function fuzz(service: PlayedService, mutations: Mutations, frames: number): Promise<Counts> {
  const counts = new Counts()
  const raws: RawSocket[] = []
  const take = ({ told }: RawSocket) => {
    for (const answer of told.splice(0)) {
      if (answer.startsWith('{"type":"error"') || answer.includes('"type":"error"')) counts.errors++
      else if (/"type":"(result|done|snapshot|pong)"/.test(answer)) counts.results++
      if (counts.answers.length < ANSWERS_KEPT) counts.answers.push(answer)
    }
  }
  while (counts.frames < frames) {
    for (let i = 0; i < CONNECTIONS; i++) {
      const raw = raws[i]
      if (raw === undefined || !raw.isOpen) {
        if (raw !== undefined) counts.closed++
        raws[i] = await rawSocket(service.port)
      }
      for (const [payload, options] of mutations.frames()) {
        raws[i]!.socket.write(frame(payload, options))
        counts.frames++
      }
    }
    await turn()
    for (const raw of raws) take(raw)
    // Nobody is too fast, and nobody is waited for that does not answer a ping.
    if (counts.frames % 7 === 0) service.clock.advance(1_000)
  }
  for (const raw of raws) {
    raw.socket.end()
    await raw.closed
    take(raw)
  }
  return counts
}

/** All connections but one have ended, and what they asked for is not kept any longer. */
async function forgotten(service: PlayedService): Promise<void> {
  await until('their connections have ended', () => service.connections.size === 1)
  await until('their standing queries are forgotten', () => {
    service.clock.advance(30_000)
    return service.standing.size === 0
  })
}

const CONNECTIONS = 10
const ANSWERS_KEPT = 3_000
