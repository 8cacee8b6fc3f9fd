import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Fatal } from '../streams/errors.ts'
import { callerConfig, gatewayConfig, isSecret, loadConfig, queryConfig, settings, variableOf } from './config.ts'

test('a secret is read from a file, over which the environment itself counts', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-config-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'secret')
  writeFileSync(path, `${'f'.repeat(40)}\n`)
  const fromFile = { FRESHET_INTERNAL_SECRET_FILE: path }

  const read = loadConfig(gatewayConfig, { env: fromFile })
  const both = loadConfig(gatewayConfig, { env: { ...fromFile, FRESHET_INTERNAL_SECRET: 'e'.repeat(40) } })

  assert.deepEqual(read.internalSecret, ['f'.repeat(40)])
  assert.deepEqual(both.internalSecret, ['e'.repeat(40)])
})

test('a secret that is being replaced is two, of which the first signs', () => {
  const [fresh, former] = ['n'.repeat(32), 'o'.repeat(32)]

  const { internalSecret } = loadConfig(queryConfig, { env: { FRESHET_INTERNAL_SECRET: `${fresh},${former}` } })

  assert.deepEqual(internalSecret, [fresh, former])
})

test('what is wrong with a secret is told without the secret', () => {
  const canary = 'canary-7f3a'

  const wrong = () =>
    loadConfig(gatewayConfig, { env: { FRESHET_INTERNAL_SECRET: canary, FRESHET_PARTITIONS: 'many' } })

  assert.throws(wrong, (error: Fatal) => {
    assert.match(error.message, /internalSecret from FRESHET_INTERNAL_SECRET is set: each secret needs 32 characters/)
    assert.match(error.message, /partitions from FRESHET_PARTITIONS is "many"/)
    assert.ok(!error.message.includes(canary))
    return error instanceof Fatal
  })
})

test('every setting that sounds like a secret is one, and only those can be in a file', () => {
  const schemas = [gatewayConfig, queryConfig, callerConfig]
  const secrets = settings.filter((name) => schemas.some((schema) => isSecret(schema, name)))

  const sounding = settings.filter((name) => /secret|password|apiKey$|token$|credential/i.test(name))

  assert.deepEqual(secrets.sort(), sounding.sort())
  assert.deepEqual(
    loadConfig(gatewayConfig, { env: { [`${variableOf('tenant')}_FILE`]: '/nowhere' } }).tenant,
    'default',
  )
})
