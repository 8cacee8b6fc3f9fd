import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { openPlatform, signed } from './platform.ts'
import { runPython } from './python.ts'

const platform = await openPlatform()
after(() => platform[Symbol.asyncDispose]())

test('a client in another language walks the whole protocol from its page alone, through the gateway', async () => {
  const [, query] = await Promise.all([platform.worker(), platform.query(signed)])
  const gateway = await platform.gateway([query])
  const scopes = 'search,publish,subscribe'
  const command = platform.freshet('keys', 'create', 'python', '--tenant', 'acme', '--scopes', scopes, '--json')
  await command.ended
  const { apiKey } = JSON.parse(command.log()) as { apiKey: string }

  const [line] = await runPython('walk_protocol.py', ['--url', gateway.url, '--key', apiKey])

  assert.deepEqual(JSON.parse(line!), {
    ready: 'ready',
    ping: 'pong',
    'publish indexed': ['indexed', 'indexed'],
    wait: ['indexed'],
    'search hybrid': 'heron',
    'search dense': 'heron',
    'search keyword': 'heron',
    'search filtered': ['otter'],
    'filter undeclared': 'bad_request',
    notices: ['attributes.wingspan: stored, not declared: nothing can be filtered by it'],
    'another type': 'rejected',
    'search like': 'result',
    'search fresh': 'result',
    'bad k': 'bad_request',
    'bad token': 'bad_request',
    'not served': 'bad_request',
    snapshot: 'otter',
    diff: ['otter', 'otters'],
    cancel: 'cancelled',
    resume: true,
    delete: ['deleted'],
    undeclared: [],
    closed: 1000,
    put: [200, true],
    'put is found': ['birds/wren & co'],
    'delete by address': [200, 'deleted'],
    bulk: [200, { through: 2002, written: 2000, deleted: 1, faulty: 1 }, [1001]],
    'bulk is there': [200, true, true],
    'said twice': 'bad_request',
  })
})
