import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { blockedBy, observedStates, stateReport } from './named-states.ts'

const subject = 'index-vectors on vectors/3'

function observed() {
  const lines: Record<string, unknown>[] = []
  const log = pino({ base: null, timestamp: false }, { write: (line) => lines.push(JSON.parse(line)) })
  const clock = { ms: 1_000 }
  const register = new Registry()
  const states = observedStates(register, log, () => clock.ms)
  return { states, register, lines, clock }
}

test('a state is a metric while it is present, and a line in the log where it begins and where it ends', async () => {
  const { states, register, lines, clock } = observed()

  states.raise('index-unreachable', subject, 'Qdrant did not answer')
  states.raise('index-unreachable', subject, 'Qdrant did not answer again')
  const during = await register.metrics()
  clock.ms += 5_000
  states.clear('index-unreachable', subject)
  const after = await register.metrics()

  assert.match(during, /freshet_state\{state="index-unreachable",subject="index-vectors on vectors\/3"\} 1/)
  assert.doesNotMatch(after, /freshet_state\{/)
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ['state index-unreachable begins', 'state index-unreachable ends'],
  )
  assert.match(String(lines[0]!.advice), /Start Qdrant/)
  assert.equal(lines[1]!.ms, 5_000)
})

test('a role is not ready when a state has kept it from its work for longer than a moment', () => {
  const { states, clock } = observed()
  states.raise('index-unreachable', subject, 'Qdrant did not answer')
  states.raise('tombstones-may-be-lost', subject, 'older than 8 days')
  const atOnce = blockedBy(states.present(), clock.ms)

  clock.ms += 12_000
  const later = blockedBy(states.present(), clock.ms)

  assert.deepEqual(atOnce, [])
  assert.deepEqual(later, [`${subject}: index-unreachable for 12 s: Qdrant did not answer`])
})

test('what is told of a state says what to do', () => {
  const { states } = observed()
  states.raise('registry-unreachable', 'worker', 'waiting for the schema registry')

  const [report] = states.present().map(stateReport)

  assert.deepEqual(report, {
    name: 'registry-unreachable',
    subject: 'worker',
    detail: 'waiting for the schema registry',
    since: '1970-01-01T00:00:01.000Z',
    advice: 'Start the schema registry, or correct FRESHET_REGISTRY.',
  })
})
