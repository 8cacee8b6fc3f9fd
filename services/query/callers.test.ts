import assert from 'node:assert/strict'
import { test } from 'node:test'
import { headersOf, openControl, principalOf, SECRET, signedConfig } from '../../test/query-service.ts'
import type { QueryConfig } from '../config.ts'
import { PAGE_HEADER, type Principal, signPage, wholeTenant } from '../principal.ts'
import { followCallers } from './callers.ts'

const refused = { status: 403, reason: 'the tenant was erased: nothing is admitted of it' }

test('nobody of an erased tenant is let in, and its connections are closed; others are', async () => {
  await using control = await openControl()
  const erased = Promise.withResolvers<(principal: Principal) => boolean>()
  const callers = followCallers(signedConfig(), control.follower, erased.resolve)
  const before = callers.of(headersOf('acme'))

  await control.decide('acme', { erasedAt: 1 })
  const isNotGood = await erased.promise

  assert.deepEqual(before, principalOf('acme'))
  assert.deepEqual(callers.of(headersOf('acme')), refused)
  assert.deepEqual(callers.of(headersOf('acme-two')), principalOf('acme-two'))
  assert.deepEqual([isNotGood(principalOf('acme')), isNotGood(principalOf('acme-two'))], [true, false])
})

test('nor is the configured tenant, once it is erased', async () => {
  await using control = await openControl()
  const erased = Promise.withResolvers<unknown>()
  const settings = { principals: 'configured', host: '127.0.0.1', tenant: 'acme' } as unknown as QueryConfig
  const callers = followCallers(settings, control.follower, erased.resolve)
  const before = callers.of({})

  await control.decide('acme', { erasedAt: 1 })
  await erased.promise

  assert.deepEqual(before, wholeTenant('acme', 'configured'))
  assert.deepEqual(callers.of({}), refused)
})

test('where everybody is the configured tenant, what comes from a gateway is refused', async () => {
  await using control = await openControl()
  const settings = { principals: 'configured', host: '127.0.0.1', tenant: 'acme' } as unknown as QueryConfig
  const callers = followCallers(settings, control.follower, () => {})

  const origin = 'http://127.0.0.1:18043'
  const answers = [
    callers.of(headersOf('zenith')),
    callers.of({ origin, [PAGE_HEADER]: signPage(origin, SECRET, Date.now()) }),
  ]

  assert.deepEqual(
    answers.map((answer) => answer !== null && 'status' in answer && answer.status),
    [403, 403],
  )
})

test('a page is nobody yet if the gateway has let it in, and is refused if it comes by itself', async () => {
  await using control = await openControl()
  const callers = followCallers(signedConfig(), control.follower, () => {})
  const origin = 'https://app.example'

  const admitted = callers.of({ origin, [PAGE_HEADER]: signPage(origin, SECRET, Date.now()) })
  const others = [
    callers.of({ origin }),
    callers.of({ origin, [PAGE_HEADER]: signPage(origin, 'a secret of somebody else, not of ours', Date.now()) }),
    callers.of({ origin: 'https://evil.example', [PAGE_HEADER]: signPage(origin, SECRET, Date.now()) }),
  ]

  assert.equal(admitted, null)
  assert.deepEqual(others, Array(3).fill({ status: 403, reason: 'pages of other origins may not call' }))
})
