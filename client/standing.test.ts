import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { differenceOf } from '../search/result-diff.ts'
import { random } from '../test/random.ts'
import { clientOf, hitOf, hitsOf, playService } from '../test/sdk/played-service.ts'
import { until } from '../test/until.ts'
import { applyChanges, applyFitting, changesBetween } from './apply-changes.ts'
import type { StandingState } from './client.ts'

const ids = ({ hits }: Pick<StandingState, 'hits'>) => hits.map(({ hitId }) => hitId)

async function next(following: AsyncIterableIterator<StandingState>): Promise<StandingState> {
  const { value } = await following.next()
  assert.ok(value, 'there is another state')
  return value
}

/** The first state that is following again. */
async function nextFollowing(following: AsyncIterableIterator<StandingState>): Promise<StandingState> {
  for (;;) {
    const state = await next(following)
    if (state.status === 'following') return state
  }
}

async function follow(t: TestContext, options: Parameters<typeof playService>[1] = {}) {
  const service = await playService(t, options)
  service.become(hitsOf('a#0', 'b#0'))
  const client = await clientOf(t, service)
  const stop = new AbortController()
  const following = client.subscribe({ query: 'a', k: 3 }, { signal: stop.signal })
  const first = await next(following)
  return { service, client, following, first, stop }
}

test('a standing query begins with its list, and each state says what is different from the one before', async (t) => {
  const { service, following, first } = await follow(t)

  service.become([hitOf('b#0', 5), hitOf('c#0', 4)])
  const second = await next(following)

  assert.deepEqual(
    first.changes.map(({ op }) => op),
    ['enter', 'enter'],
  )
  assert.deepEqual([first.epoch, first.seq, first.recovered, first.status], ['a', 2, false, 'following'])
  assert.deepEqual(ids(second), ['b#0', 'c#0'])
  assert.deepEqual(
    second.changes.map(({ op }) => op),
    ['leave', 'move', 'enter'],
  )
  assert.deepEqual([second.seq, second.recovered, second.asOf?.complete], [3, true, true])
})

test('after an interruption it goes on from what was seen, or begins anew and says so', async (t) => {
  const { service, following } = await follow(t, { statesKept: 2 })

  service.cut()
  const away = await next(following)
  service.become(hitsOf('a#0'))
  const back = await nextFollowing(following)
  service.refusal = { status: 503, code: 'unavailable' }
  service.cut()
  await until('it is gone', () => service.open === 0)
  for (const id of ['c#0', 'd#0', 'e#0']) service.become(hitsOf(id))
  service.refusal = null
  const anew = await nextFollowing(following)

  assert.deepEqual([away.status, ids(away), away.changes], ['reconnecting', ['a#0', 'b#0'], []])
  assert.match(String(away.reason), /1006/)
  assert.deepEqual([ids(back), back.recovered], [['a#0'], true])
  assert.deepEqual([ids(anew), anew.recovered], [['e#0'], false])
  const resumed = service.received.filter(({ type }) => type === 'subscribe').map(({ resume }) => resume)
  assert.deepEqual(resumed.slice(0, 2), [undefined, { epoch: 'a', seq: 2 }])
})

test('a state of another epoch begins anew', async (t) => {
  const { service, client, following } = await follow(t)

  service.become(hitsOf('z#0'), 'b')
  const other = await next(following)

  assert.deepEqual([ids(other), other.epoch, other.seq, other.recovered], [['z#0'], 'b', 1, false])
  service.become(hitsOf('y#0'), 'c')
  service.become(hitsOf('x#0'))
  await until('both have come', async () => (await client.search({ query: 'a' })).hits[0]?.hitId === 'x#0')
  const both = await next(following)
  assert.deepEqual([ids(both), both.seq, both.recovered], [['x#0'], 2, false])
})

test('that the index cannot be asked is a state, and that it can again is one', async (t) => {
  const { service, following } = await follow(t)
  const { id } = service.received.at(-1)!

  service.tell({ type: 'notice', id, code: 'not_following', message: 'the index is out of reach' })
  const trouble = await next(following)
  service.tell({ type: 'notice', id, code: 'following', message: 'again' })
  const well = await next(following)

  assert.deepEqual(
    [trouble.status, trouble.reason, ids(trouble)],
    ['not_following', 'the index is out of reach', ['a#0', 'b#0']],
  )
  assert.deepEqual([well.status, well.reason], ['following', null])
})

test('who reads slowly gets the newest state, and the changes to it', async (t) => {
  const { service, following } = await follow(t)

  for (let i = 0; i < 500; i++) service.become(hitsOf(`n${i}#0`, 'b#0'))
  await until('all of it has come', async () => {
    await setImmediate()
    return service.received.length > 0 && service.at.seq === 502
  })
  const states: StandingState[] = []
  while (states.at(-1)?.seq !== 502) states.push(await next(following))

  assert.ok(states.length < 100, `${states.length} states were kept`)
  let hits = hitsOf('a#0', 'b#0')
  for (const state of states) hits = applyChanges(hits, state.changes)
  assert.deepEqual(hits, hitsOf('n499#0', 'b#0'))
})

test('the loop ends quietly when it is left, aborted, or the client is closed, and the server is told', async (t) => {
  const { service, client, following, stop } = await follow(t)
  const cancelled = () => service.received.filter(({ type }) => type === 'cancel').length

  const waiting = following.next()
  stop.abort()
  assert.equal((await waiting).done, true)
  await until('the server is told', () => cancelled() === 1)
  for await (const state of client.subscribe({ query: 'a' })) if (state.hits.length > 0) break
  await until('the server is told', () => cancelled() === 2)
  assert.equal((await client.subscribe({ query: 'a' }, { signal: stop.signal }).next()).done, true)
  const other = client.subscribe({ query: 'a' })
  await next(other)
  const last = other.next()
  await client.close()

  assert.equal((await last).done, true)
  await assert.rejects(client.subscribe({ query: 'a' }).next(), { code: 'closed' })
})

test('what can never be answered ends the loop with the error, and what may be later is asked again', async (t) => {
  const service = await playService(t)
  const client = await clientOf(t, service)
  const answers = [
    { code: 'unavailable', message: 'not now', retryable: true, retryAfterMs: 1 },
    { code: 'cancelled', message: 'cancelled', retryable: false },
    null,
    { code: 'bad_request', message: 'k: is 1000', retryable: false },
  ]
  service.intervene = ({ heard }, socket) => {
    const answer = heard?.type === 'subscribe' ? answers.shift() : null
    if (answer) socket.send(JSON.stringify({ type: 'error', id: heard!.id, ...answer }))
    return Boolean(answer)
  }

  const following = client.subscribe({ query: 'a' })
  const first = await next(following)
  const there = await nextFollowing(following)

  assert.deepEqual([first.status, first.reason, first.asOf], ['not_following', 'not now', null])
  assert.equal(there.recovered, false)
  await assert.rejects(client.subscribe({ query: 'a' }).next(), { code: 'bad_request', retryable: false })
})

const unfit: readonly (readonly [string, object])[] = [
  ['a move of what is not there', { ops: [{ op: 'move', hitId: 'x#0', rank: 1, score: 1 }] }],
  ['a leave of what is not there', { ops: [{ op: 'leave', hitId: 'x#0' }] }],
  ['an enter of what is there', { ops: [{ op: 'enter', rank: 3, hit: hitOf('a#0') }] }],
  ['a rank that leaves a hole', { ops: [{ op: 'enter', rank: 9, hit: hitOf('x#0') }] }],
  ['a leave that nobody moves up for', { ops: [{ op: 'leave', hitId: 'a#0' }] }],
  [
    'one hit twice',
    { ops: [{ op: 'leave', hitId: 'b#0' }, ...[1, 2].map((rank) => ({ op: 'update', rank, hit: hitOf('a#0') }))] },
  ],
  ['two at one rank', { ops: [1, 2].map((n) => ({ op: 'enter', rank: 3, hit: hitOf(`x${n}#0`) })) }],
  ['another epoch', { epoch: 'b', ops: [] }],
  ['a state that was before', { seq: 1, ops: [] }],
  ['no changes at all', { ops: null }],
  ['a change without a hit', { ops: [{ op: 'enter', rank: 1 }] }],
  ['no seq', { seq: 'three', ops: [] }],
]

test('changes that do not fit the list are not shown: the whole list is asked for', async (t) => {
  for (const [what, wrong] of unfit) {
    const { service, following } = await follow(t)
    const { id } = service.received.at(-1)!

    service.tell({ type: 'diff', id, epoch: 'a', seq: 3, ...wrong })
    service.become(hitsOf('c#0'))
    const state = await next(following)

    assert.deepEqual([ids(state), state.recovered], [['c#0'], false], what)
    const asked = service.received.filter(({ type }) => type === 'subscribe')
    assert.deepEqual([asked.length, asked[1]?.resume], [2, undefined], what)
  }
  assert.ok(unfit.length > 0)
})

test('changes are those that the service makes, and lead from the one list to the other', () => {
  const next_ = random(11)
  const list = () =>
    Array.from({ length: 6 }, (_, i) => hitOf(`h${i}#0`, Math.floor(next_() * 3), next_() < 0.3 ? 'new' : 'old'))
      .filter(() => next_() < 0.6)
      .sort(() => next_() - 0.5)

  for (let i = 0; i < 2_000; i++) {
    const [before, after] = [list(), list()]
    const changes = changesBetween(before, after)
    assert.deepEqual(changes, differenceOf(before, after))
    assert.deepEqual(applyFitting(before, changes), after)
  }
})

test('over a connection that breaks all the time, every list that is shown is one that the server had', async (t) => {
  let [states, cuts, recovered, anew] = [0, 0, 0, 0]
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const chance = random(seed)
    const service = await playService(t, { statesKept: 20 })
    service.intervene = (_what, socket) => {
      if (chance() > 0.1) return false
      cuts++
      // A frame may still arrive that was sent before, or not.
      if (chance() < 0.5) socket.terminate()
      else socket.close(chance() < 0.5 ? 1012 : 1011)
      return chance() < 0.5
    }
    const client = await connected(() => clientOf(t, service))
    const stop = new AbortController()
    const shown: StandingState[] = []
    const reading = (async () => {
      for await (const state of client.subscribe({ query: 'a' }, { signal: stop.signal })) {
        shown.push(state)
        if (chance() < 0.2) for (let i = chance() * 20; i > 0; i--) await setImmediate()
      }
    })()
    let epoch = 'a'
    for (let i = 0; i < 150; i++) {
      if (chance() < 0.03) epoch = `e${i}`
      const list = Array.from({ length: 8 }, (_, n) =>
        hitOf(`h${n}#0`, Math.floor(chance() * 5), chance() < 0.1 ? `${i}` : 'same'),
      )
      service.become(
        list.filter(() => chance() < 0.5).sort((a, b) => b.score - a.score),
        epoch,
      )
      for (let turn = chance() * 40; turn > 0; turn--) await setImmediate()
    }
    service.intervene = () => false
    await until('the last list is shown', () => isAt(shown.at(-1), service.at) || JSON.stringify(shown.at(-1)))
    stop.abort()
    await reading

    let hits: StandingState['hits'] = []
    for (const state of shown) {
      hits = applyFitting(hits, state.changes) ?? assert.fail(`seed ${seed}: changes do not fit`)
      assert.deepEqual(hits, state.hits, `seed ${seed}`)
      if (state.asOf !== null)
        assert.deepEqual(state.hits, service.lists.get(`${state.epoch}:${state.seq}`), `seed ${seed}`)
    }
    states += shown.length
    recovered += shown.filter((state, i) => state.recovered && shown[i - 1]?.status === 'reconnecting').length
    anew += shown.filter((state) => !state.recovered).length
  }

  t.diagnostic(`${states} states, ${cuts} cuts, ${recovered} went on, ${anew} began anew`)
  assert.ok(states > 200 && cuts > 30 && recovered > 5 && anew > 5)
})

const isAt = (state: StandingState | undefined, { epoch, seq }: { epoch: string; seq: number }): boolean =>
  state?.status === 'following' && state.epoch === epoch && state.seq === seq

async function connected<T>(connect: () => Promise<T>): Promise<T> {
  for (;;) {
    const client = await connect().catch(() => null)
    if (client !== null) return client
  }
}
