import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Fatal } from '../streams/errors.ts'
import {
  callerConfig,
  gatewayConfig,
  isSecret,
  loadConfig,
  queryConfig,
  settings,
  variableOf,
  workerConfig,
} from './config.ts'

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

test('all that is wrong with a service that embeds is told at once, with the setting that would mend it', () => {
  const faultsOf = (env: Record<string, string>): string => {
    try {
      loadConfig(workerConfig, { env })
      return ''
    } catch (error) {
      return (error as Fatal).message
    }
  }

  const incomplete = faultsOf({
    FRESHET_EMBEDDING_BACKEND: 'tei',
    FRESHET_EMBEDDING_DIMENSIONS_ASKED: 'on',
    FRESHET_EMBEDDING_TOKENIZER: '/nowhere',
  })
  const needless = faultsOf({ FRESHET_EMBEDDING_URL: 'http://127.0.0.1:1' })
  const withKey = faultsOf({
    FRESHET_EMBEDDING_BACKEND: 'openai',
    FRESHET_EMBEDDING_URL: 'http://me:canary-3d@127.0.0.1:1',
    FRESHET_EMBEDDING_DIMENSIONS: '0',
  })

  for (const part of [
    /embeddingUrl is not set, and embeddingBackend is tei; set FRESHET_EMBEDDING_URL/,
    /embeddingDimensions is not set.*set FRESHET_EMBEDDING_DIMENSIONS/,
    /embeddingDimensionsAsked is on, and embeddingBackend is tei/,
    /embeddingTokenizer from FRESHET_EMBEDDING_TOKENIZER is "\/nowhere": this file cannot be read/,
  ])
    assert.match(incomplete, part)
  assert.match(
    needless,
    /embeddingUrl is set, and embeddingBackend is in-process; set FRESHET_EMBEDDING_BACKEND to openai or tei or open-inference or inference/,
  )
  assert.match(withKey, /embeddingUrl .*put them into embeddingApiKey/)
  assert.match(withKey, /embeddingDimensions from FRESHET_EMBEDDING_DIMENSIONS is "0"/)
  assert.ok(!withKey.includes('canary-3d'))
})

test('declared attributes are JSON in the environment and an object in the file, and all their faults are told', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-config-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'config.json')
  writeFileSync(path, JSON.stringify({ attributes: { team: 'keyword' } }))
  const attributesIn = (env: Record<string, string>) => [...loadConfig(queryConfig, { env }).attributes]

  const wrong = () => loadConfig(queryConfig, { env: { FRESHET_ATTRIBUTES: '{"a b":"keyword","year":"int"}' } })

  assert.deepEqual(attributesIn({}), [])
  assert.deepEqual(attributesIn({ FRESHET_CONFIG: path }), [['team', 'keyword']])
  assert.deepEqual(attributesIn({ FRESHET_CONFIG: path, FRESHET_ATTRIBUTES: '{"year":"integer"}' }), [
    ['year', 'integer'],
  ])
  assert.throws(wrong, ({ message }: Fatal) => {
    assert.match(message, /attributes from FRESHET_ATTRIBUTES is .*: "a b" is not the name of an attribute/)
    assert.match(message, /: year is "int", which is no type; give one of keyword, integer,/)
    return true
  })
})
