import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Client, connect, type StandingState } from '../client/client.ts'
import { openPlatform, type Platform, type QueryRole, signed } from './platform.ts'
import type { TestProcess } from './process.ts'
import { until } from './until.ts'

/** The SDK and the command line through the gateway, on real processes. */
let platform: Platform
let gateway: QueryRole
let queries: QueryRole[]
let apiKey: string
let client: Client

before(async () => {
  platform = await openPlatform()
  const [, ...started] = await Promise.all([platform.worker(), platform.query(signed), platform.query(signed)])
  queries = started
  gateway = await platform.gateway(queries)
  const command = platform.freshet(
    'keys',
    'create',
    'sdk',
    '--tenant',
    platform.tenant,
    '--scopes',
    'search,subscribe,publish',
    '--json',
  )
  await command.ended
  apiKey = (JSON.parse(command.log()) as { apiKey: string }).apiKey
  // For the commands.
  process.env.FRESHET_API_KEY = apiKey
  await until('the gateway knows the key', async () => {
    const opened = await connect(gateway.url, { apiKey }).catch((error: Error) => error.message)
    if (typeof opened === 'string') return opened
    client = opened
    return true
  })
})
after(async () => {
  await client?.close()
  await platform[Symbol.asyncDispose]()
})

test('a client reads its own writes when it says so once', async () => {
  const own = await connect(gateway.url, { apiKey, readYourWrites: true })

  for (let i = 0; i < 20; i++) {
    await own.publish([{ id: 'own', text: `Version ${i} of it.` }])
    const { hits } = await own.search({ query: 'version', filter: {} })
    assert.equal(hits.find(({ documentId }) => documentId === 'own')?.text, `Version ${i} of it.`)
  }

  await own.close()
})

test('the command line demands freshness, filters, and says what is wrong', async () => {
  const said = async (...args: string[]): Promise<string> => {
    const command = platform.freshet(...args)
    return `${await command.ended}: ${command.log()}`
  }
  const published = await said('publish', 'heron', 'A heron stands at the weir.', '--attributes', '{"year":2024}')
  const token = /^token (\S+)$/m.exec(published)?.[1] ?? assert.fail(published)

  const found = await said(
    'search',
    'heron',
    '--after',
    token,
    '-f',
    'year>=2024',
    '--exact',
    '--explain',
    '--score-min',
    '0',
    '--per-document',
    '1',
  )

  assert.match(found, /code 0: 1\. heron /)
  assert.match(found, /dense 1\. with \d.*, keyword 1\. with \d[\s\S]*embedding \d/)
  assert.match(
    await said('search', 'heron', '-f', 'year<2024', '--max-staleness', '60000', '--timeout', '5000'),
    /code 0: Nothing was found/,
  )
  assert.match(await said('search', 'heron', '--after', 'no-token'), /code 1: freshet: .*token/)
  assert.match(
    await said('search', 'heron', '--after', token, '--max-staleness', '1'),
    /code 2: error: .*give one of them/,
  )
  assert.match(await said('search', 'heron', '-f', 'year'), /code 2: error: .*give name=value/)
})

test('a standing query, and the command that shows it, go on when the instance that answers is killed', async () => {
  const wish = { query: 'otters in the reeds', k: 3, filter: { place: 'marsh' } }
  const publish = (id: string, text: string) =>
    client.publish([{ id, text, attributes: { place: 'marsh' } }], { ack: 'indexed' })
  const states: StandingState[] = []
  const stop = new AbortController()
  const following = (async () => {
    for await (const state of client.subscribe(wish, { signal: stop.signal })) states.push(state)
  })()
  const shown = (id: string) => states.at(-1)?.hits.some(({ documentId }) => documentId === id) ?? false
  const watching = watch('--json')
  const logging = watch()
  await publish('before', 'Otters live in the reeds.')
  await until(
    'it is shown',
    () => shown('before') && [watching, logging].every((each) => each.log().includes('before')),
  )

  for (const query of queries.splice(0)) {
    await query.kill('SIGKILL')
    const url = new URL(query.url)
    queries.push(await platform.query({ ...signed, FRESHET_QUERY_PORT: url.port }))
  }
  await until('publishing works again', () =>
    publish('after', 'Otters swim by night.').then(
      () => true,
      (error: Error) => error.message,
    ),
  )
  await until('it is shown', () => shown('after') && [watching, logging].every((each) => each.log().includes('after')))
  stop.abort()
  await following
  const ended = [watching, logging].map(async (each) => {
    await each.kill('SIGINT')
    return each.ended
  })

  assert.ok(states.some(({ status }) => status === 'reconnecting'))
  assert.deepEqual(await Promise.all(ended), ['ended with exit code 0', 'ended with exit code 0'])
  const lines = watching
    .log()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as StandingState)
  assert.ok(lines.some(({ status }) => status === 'reconnecting'))
  assert.deepEqual(
    lines
      .at(-1)
      ?.hits.map(({ documentId }) => documentId)
      .sort(),
    ['after', 'before'],
  )
  assert.match(logging.log(), /^\d hits?, .*\n\+ {2}1 {2}before/)
  assert.match(logging.log(), /\nthe connection is lost .*\n(it goes on where it was|the list begins anew)/)
})

function watch(...more: string[]): TestProcess {
  return platform.freshet('watch', 'otters in the reeds', '-k', '3', '--chunks', '-f', 'place=marsh', ...more)
}
