import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Fatal } from '../streams/errors.ts'
import { loadConfig, platformConfig } from './config.ts'

const faultsOf = (env: Record<string, string>): string => {
  try {
    loadConfig(platformConfig, { env })
    return ''
  } catch (error) {
    return (error as Fatal).message
  }
}

test('a user without a password, and a password that nobody asks for, are named with the setting that helps', () => {
  const half = faultsOf({ FRESHET_KAFKA_SECURITY: 'sasl-tls', FRESHET_KAFKA_USERNAME: 'worker' })
  const idle = faultsOf({ FRESHET_KAFKA_SECURITY: 'tls', FRESHET_KAFKA_PASSWORD: 'canary-3f' })
  const registry = faultsOf({ FRESHET_REGISTRY_USERNAME: 'worker' })

  assert.match(half, /kafkaPassword is not set, and kafkaSecurity is sasl-tls .*; set FRESHET_KAFKA_PASSWORD/)
  assert.match(idle, /kafkaPassword is set, and kafkaSecurity is tls.*; set FRESHET_KAFKA_SECURITY to sasl-tls/)
  assert.match(registry, /registryPassword is not set, and registryUsername is; set FRESHET_REGISTRY_PASSWORD/)
  assert.ok(!idle.includes('canary'))
})

test('oauthbearer wants a token, or all that a token is asked for with', () => {
  const oauth = { FRESHET_KAFKA_SECURITY: 'sasl-tls', FRESHET_KAFKA_SASL_MECHANISM: 'oauthbearer' }

  const nothing = faultsOf(oauth)
  const token = faultsOf({ ...oauth, FRESHET_KAFKA_OAUTH_TOKEN: 'a.b.c' })

  assert.match(
    nothing,
    /kafkaOauthTokenUrl is not set.*kafkaOauthClientId is not set.*kafkaOauthClientSecret is not set/,
  )
  assert.equal(token, '')
})

test('a file of certificates that cannot be read is named, with where the setting comes from', () => {
  const faults = faultsOf({ FRESHET_KAFKA_SECURITY: 'tls', FRESHET_KAFKA_CA: '/nowhere/ca.crt' })

  assert.match(faults, /kafkaCa from FRESHET_KAFKA_CA is "\/nowhere\/ca.crt": this file cannot be read/)
})

test('certificates for a listener without TLS are a mistake, and are told as one', () => {
  const faults = faultsOf({ FRESHET_KAFKA_CA: import.meta.filename })

  assert.match(faults, /kafkaCa is set, and kafkaSecurity is plaintext, without TLS; set FRESHET_KAFKA_SECURITY/)
})

test('an address with a password in it is refused, and not shown', () => {
  const faults = faultsOf({ FRESHET_REGISTRY: 'https://worker:canary-77@registry.example' })

  assert.match(faults, /registry from FRESHET_REGISTRY is .*: holds a user or a password; .*registryPassword/)
  assert.ok(!faults.includes('canary'))
})
