import { portsFrom } from '../../infra/local/ports.ts'
import { localSettings } from '../../infra/local/settings.ts'
import { inbox } from '../../schemas/topics.ts'
import { confluentRegistry } from '../../streams/registry.ts'
import { loadKeys, loadTenants } from '../load.ts'
import { ofUnknownSchema } from '../load-events.ts'
import { freePort } from '../process.ts'
import { until } from '../until.ts'
import type { Context, Row } from './row.ts'
import { healthOf, over, shown } from './worker-states.ts'

const rounds = { fast: 1, full: 2 }

/** Warm goes on, cold waits and says for what, incompatible is refused with the reason. */
export const registryGone: Row = {
  id: 'F24',
  title: 'the schema registry out of reach, warm and cold; an incompatible schema',
  sets: ['full'],
  needs: { lines: ['registry'] },
  async run(context) {
    const { set, load, workers, registryLine, healed, atRest, say } = context
    await load.write(200)
    await atRest()
    for (let round = 0; round < rounds[set]; round++) {
      await registryLine.cut()
      await warmGoesOn(context)
      const cold = await coldWaits(context)
      await registryLine.heal()
      await cold.ready
      const seconds = await healed()
      await over(workers, 'registry-unreachable')
      say(`all was there ${seconds.toFixed(1)} s after the registry was back`)
    }
    await incompatibleIsRefused(context)
  },
}

/** What is of schemas that are known is served as ever; what is not waits, and is no dead letter. */
async function warmGoesOn({ load, workers, atRest, count }: Context): Promise<void> {
  const before = load.sent.length
  await load.write(150, { poison: 0 })
  await atRest()
  count('records indexed without the registry', load.sent.length - before)
  await load.send(loadTenants.map((tenant) => ofUnknownSchema(loadKeys(tenant, 'documents')[0]!)))
  await load.write(150, { poison: 0.2 })
  count('times a stage waited for a schema', (await shown(workers, 'registry-unreachable')).length)
}

/** Resolves when it says for what it waits; its becoming ready is still to be waited for. */
async function coldWaits({ startWorker, count, expect }: Context): Promise<{ ready: Promise<unknown> }> {
  const port = await freePort()
  const adminUrl = `http://127.0.0.1:${port}`
  const started = startWorker({ FRESHET_WORKER_PORT: String(port) })
  started.catch(() => {})
  await until(
    'the new worker says for what it waits',
    async () => {
      const health = await healthOf({ adminUrl }).catch(() => null)
      if (health === null) return 'it does not listen yet'
      expect(!health.ready, 'a worker that knows no schema is ready')
      return health.missing.some((reason) => reason.includes('registry-unreachable')) || JSON.stringify(health)
    },
    50_000,
  )
  count('workers that started without the registry')
  return { ready: started }
}

/** A prefix of its own, where the registry holds something else under the name of one of our schemas. */
async function incompatibleIsRefused({ platform, count, expect }: Context): Promise<void> {
  const prefix = `${platform.scope.prefix}other.`
  const subject = `${prefix}${inbox.name}-value`
  const schema = { ...inbox.schema, fields: [{ name: 'text', type: 'int' }] }
  const { registry } = portsFrom(localSettings(process.env).portBase)
  await confluentRegistry(`http://127.0.0.1:${registry}/apis/ccompat/v7`).register(subject, schema)
  const end = await platform.worker({ FRESHET_TOPIC_PREFIX: prefix }).then(
    () => 'it became ready',
    (error) => String(error),
  )
  count('workers with an incompatible schema')
  const isRefused =
    /ended with exit code 1/.test(end) && end.includes(`the schema of ${subject} is not backward compatible`)
  expect(isRefused, `a worker with an incompatible schema: ${end}`)
}
