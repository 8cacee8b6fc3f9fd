import type { StateName } from '../../streams/states.ts'
import type { Role } from '../platform.ts'
import { until } from '../until.ts'

export interface Health {
  readonly ready: boolean
  /** Why it is not ready. */
  readonly missing: readonly string[]
  readonly states: readonly { readonly name: string; readonly subject: string; readonly detail: string }[]
}

/** What a role says of itself, ready or not. */
export async function healthOf({ adminUrl }: Pick<Role, 'adminUrl'>): Promise<Health> {
  const response = await fetch(`${adminUrl}/health/ready`, { signal: AbortSignal.timeout(5_000) })
  const { missing = [], states } = (await response.json()) as { missing?: string[]; states: Health['states'] }
  return { ready: response.status === 200, missing, states }
}

interface Shown {
  /** All of them must be in this state. Default: any. */
  readonly subjects?: readonly string[]
  /** It must make the role unready. Default: true. */
  readonly blocking?: boolean
  readonly msMax?: number
}

/** Resolves with the subjects that are in the state, once it shows everywhere: as a state, in the metric, and in readiness if it blocks. */
export async function shown(
  roles: readonly Role[],
  name: StateName,
  { subjects: wanted = [], blocking = true, msMax = 60_000 }: Shown = {},
): Promise<string[]> {
  let subjects: string[] = []
  await until(
    `a worker says ${name}`,
    async () => {
      const told = await Promise.all(
        roles.map(async (role) => ({
          ...(await healthOf(role)),
          metric: await role.metric('freshet_state', { state: name }),
        })),
      )
      subjects = told.flatMap(({ states }) =>
        states.filter((state) => state.name === name).map(({ subject }) => subject),
      )
      const whole = told.some(
        ({ ready, missing, metric }) =>
          metric > 0 && (!blocking || (!ready && missing.some((reason) => reason.includes(name)))),
      )
      const all = wanted.every((subject) => subjects.includes(subject))
      return (
        (subjects.length > 0 && whole && all) ||
        JSON.stringify(told.map(({ states, missing }) => ({ states, missing })))
      )
    },
    msMax,
  )
  return subjects
}

/** Resolves when no role is in this state any more, and all are ready. */
export async function over(roles: readonly Role[], name: StateName): Promise<void> {
  await until(
    `no worker says ${name}, and all are ready`,
    async () => {
      const told = await Promise.all(roles.map(healthOf))
      const left = told.flatMap(({ missing, states }) => [
        ...missing,
        ...states.filter((state) => state.name === name).map(({ subject }) => `${name}: ${subject}`),
      ])
      return left.length === 0 || left.join('; ')
    },
    60_000,
  )
}
