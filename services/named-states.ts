import type pino from 'pino'
import { Gauge, type Registry } from 'prom-client'
import { type NamedState, States, stateKinds } from '../streams/states.ts'

/** Named states as a metric, and as log lines where they begin and end. */
export function observedStates(register: Registry, log: pino.Logger, now: () => number = Date.now): States {
  const present = new Gauge({
    name: 'freshet_state',
    help: '1 while the named state is present.',
    labelNames: ['state', 'subject'],
    registers: [register],
  })
  return new States(now, {
    began({ name, subject, detail }) {
      present.set({ state: name, subject }, 1)
      log.warn({ state: name, subject, detail, advice: stateKinds[name].advice }, `state ${name} begins`)
    },
    ended({ name, subject }, ms) {
      present.remove({ state: name, subject })
      log.info({ state: name, subject, ms }, `state ${name} ends`)
    },
  })
}

/** A state as `/health/ready` tells it. */
export interface StateReport {
  readonly name: string
  readonly subject: string
  readonly detail: string
  /** ISO 8601. */
  readonly since: string
  readonly advice: string
}

export const stateReport = ({ name, subject, detail, since }: NamedState): StateReport => ({
  name,
  subject,
  detail,
  since: new Date(since).toISOString(),
  advice: stateKinds[name].advice,
})

/** Why work cannot go on, of those states that have lasted for longer than a moment. */
export function blockedBy(states: readonly NamedState[], now: number): string[] {
  return states
    .filter(({ blocking, since }) => blocking && now - since >= BLOCKED_MS_MIN)
    .map(
      ({ name, subject, detail, since }) => `${subject}: ${name} for ${Math.round((now - since) / 1_000)} s: ${detail}`,
    )
}

/** A retry or two is daily life; after this long the role says that it is not ready. */
const BLOCKED_MS_MIN = 10_000
