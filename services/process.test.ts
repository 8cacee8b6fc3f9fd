import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'

const role = (ending: string) => `
  import { openFrame } from ${JSON.stringify(new URL('process.ts', import.meta.url).href)}
  const frame = await openFrame({ role: 'test', host: '127.0.0.1', adminPort: 0, logLevel: 'info' })
  frame.closing(async () => console.log('closed in order'))
  ${ending}`

async function run(ending: string): Promise<{ code: unknown; log: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', role(ending)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [log, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  return { code, log }
}

for (const [what, ending] of [
  ['that is thrown', "setImmediate(() => { throw new TypeError('of a record') })"],
  ['of a promise', "void Promise.reject(new TypeError('of a record'))"],
] as const)
  test(`an error ${what} and that nobody catches ends the process with its reason, and nothing tells of a clean end`, async () => {
    const { code, log } = await run(ending)

    assert.equal(code, 1)
    assert.match(log, /"level":"fatal".*nobody caught an error of test: of a record/)
    assert.doesNotMatch(log, /closed in order/)
  })

test('a role that cannot go on closes in order, and says why', async () => {
  const { code, log } = await run("frame.fail(new Error('the configuration is wrong'))")

  assert.equal(code, 1)
  assert.match(log, /test cannot go on: the configuration is wrong/)
  assert.match(log, /closed in order/)
})
