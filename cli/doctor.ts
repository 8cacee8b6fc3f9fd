import { existsSync, statfsSync } from 'node:fs'
import { Command } from 'commander'
import { embeddingModelIn, folderOf } from '../engine/repository/repository.ts'
import { type Requirement, requirePrerequisites } from '../infra/local/prerequisites.js'
import { localSettings } from '../infra/local/settings.ts'
import { configFaults } from '../schemas/ensure-topics.ts'
import { catalogue } from '../schemas/topics.ts'
import { addressesOf, loadConfig, queryConfig, rolePorts, workerConfig } from '../services/config.ts'
import { spaceIn } from '../services/spaces.ts'
import { reasonOf } from '../streams/errors.ts'
import { nameIn } from '../streams/topic.ts'
import { withOutside, withSomeOutside } from './outside.ts'

export function doctor(): Command {
  return new Command('doctor')
    .description('Says what is missing or wrong, and the exact change that helps.')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet doctor')
    .action(async ({ json }: { json?: true }) => {
      const findings: Finding[] = []
      for (const [name, check] of checks) findings.push(await found(name, check))
      if (json) console.log(JSON.stringify(findings, null, 2))
      else
        for (const { name, fault } of findings)
          console.log(fault === null ? `✓ ${name}` : `✗ ${name}\n  ${fault.replaceAll('\n', '\n  ')}`)
      if (findings.some(({ fault }) => fault !== null)) process.exitCode = 1
    })
}

interface Finding {
  readonly name: string
  /** What is wrong, and what to do; null: nothing. */
  readonly fault: string | null
}

async function found(name: string, check: () => Promise<void> | void): Promise<Finding> {
  try {
    await check()
    return { name, fault: null }
  } catch (error) {
    return { name, fault: reasonOf(error) }
  }
}

const config = () => ({
  ...loadConfig(workerConfig, { env: process.env }),
  ...loadConfig(queryConfig, { env: process.env }),
})

const programs: readonly Requirement[] = ['node', 'npm', 'java', 'maven', 'python']

const checks: readonly [string, () => Promise<void> | void][] = [
  ['programs that the local stack needs', () => requirePrerequisites(programs)],
  ['configuration', () => void config()],
  [
    'space on the disk',
    () => {
      const { dataDir } = localSettings(process.env)
      const { bavail, bsize } = statfsSync(existsSync(dataDir) ? dataDir : '.')
      const free = bavail * bsize
      if (free < DISK_BYTES_MIN)
        throw new Error(
          `${Math.round(free / 2 ** 20)} MiB are free and ${DISK_BYTES_MIN / 2 ** 20} are wanted; free some, or set FRESHET_DATA to another disk`,
        )
    },
  ],
  [
    'model files',
    () => {
      const { models } = addressesOf(config())
      const model = embeddingModelIn(models, config().model)
      for (const file of Object.keys(model.files)) {
        const path = `${folderOf(models, model)}/${file}`
        if (!existsSync(path)) throw new Error(`${path} is not there; freshet models add ${model.name} fetches it`)
      }
    },
  ],
  ['Kafka', () => withOutside(async ({ broker }) => void (await broker.admin.topics()))],
  [
    'topics',
    () =>
      withOutside(async ({ broker: { admin } }) => {
        const present = await admin.topics()
        const scope = { prefix: config().topicPrefix, space: spaceIn(present.map(({ name }) => name)) ?? '' }
        const faults: string[] = []
        for (const topic of catalogue) {
          const name = nameIn(scope, topic)
          if (!present.some((each) => each.name === name)) faults.push(`topic ${name} is missing; npm start creates it`)
          else faults.push(...configFaults(name, topic, await admin.topicConfig(name)))
        }
        if (faults.length > 0) throw new Error(faults.join('\n'))
      }),
  ],
  [
    'schema registry',
    () =>
      withSomeOutside(async ({ askRegistry }) => {
        const { registry } = addressesOf(config())
        const { status } = await askRegistry('/config', TIMEOUT_MS).catch((cause) => {
          throw new Error(`nobody answers at ${registry}; start it with npm start, or set FRESHET_REGISTRY`, { cause })
        })
        if (status === 401 || status === 403)
          throw new Error(
            `${registry} does not let us in (${status}); correct registryToken, or registryUsername and registryPassword`,
          )
        if (status !== 200)
          throw new Error(`${registry} answers ${status} to /config; FRESHET_REGISTRY must be an API like Confluent's`)
        for (const topic of catalogue.filter(({ name }) => !name.includes('<space>'))) {
          const subject = `${config().topicPrefix}${topic.name}-value`
          const { status, body } = await askRegistry(`/config/${subject}`, TIMEOUT_MS)
          // Not registered yet: the first start does it.
          if (status === 404) continue
          const { compatibilityLevel } = body as { compatibilityLevel?: string }
          if (compatibilityLevel === 'BACKWARD') continue
          throw new Error(
            `the compatibility of ${subject} is ${compatibilityLevel}; curl -X PUT -H 'content-type: application/json' -d '{"compatibility":"BACKWARD"}' ${registry}/config/${subject}`,
          )
        }
      }),
  ],
  [
    'Qdrant',
    () =>
      withSomeOutside(async (outside) => {
        const { collections, read } = outside.qdrant({ timeoutMs: TIMEOUT_MS })
        // Not its health check, which answers without a key.
        await read('for a list of its collections', (options) => collections.list({}, options))
      }),
  ],
  ['worker', () => ready('worker', rolePorts(config()).worker)],
  ['query service', () => ready('query service', rolePorts(config()).queryAdmin)],
]

const DISK_BYTES_MIN = 2 * 2 ** 30
const TIMEOUT_MS = 3_000

async function ready(role: string, port: number): Promise<void> {
  const url = `http://127.0.0.1:${port}/health/ready`
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch((cause) => {
    throw new Error(`the ${role} does not answer at ${url}; start it with npm start`, { cause })
  })
  if (!response.ok)
    throw new Error(`the ${role} is not ready: ${await response.text()}; see its log under logs in FRESHET_DATA`)
}
