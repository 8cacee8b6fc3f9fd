import { Command, InvalidArgumentError } from 'commander'
import { spaceOf } from '../connectors/qdrant/collection.ts'
import { qdrantContents } from '../connectors/qdrant/contents.ts'
import { type AuditOptions, type AuditReport, audit as auditNow } from '../maintenance/audit.ts'
import { deepCheck } from '../maintenance/deep.ts'
import type { AuditWorld } from '../maintenance/world.ts'
import { servingIn, spaceKey } from '../processors/collections.ts'
import { documents, redo } from '../schemas/topics.ts'
import { loadConfig, type WorkerConfig, workerConfig } from '../services/config.ts'
import { controlNow } from '../services/control-now.ts'
import type { ModelVersion } from '../services/engine.ts'
import { checkEpoch, openEpochs } from '../services/epoch.ts'
import type { Outside } from '../services/outside.ts'
import { spaceIn } from '../services/spaces.ts'
import { systemClock } from '../streams/clock.ts'
import { nameIn } from '../streams/topic.ts'
import { auditLines, auditProgress } from './audit-words.ts'
import { addresses } from './connection.ts'
import { withOutside } from './outside.ts'

interface Flags {
  readonly collection?: string
  readonly partition?: number
  readonly repair?: true
  readonly renew?: true
  readonly deep?: number
  readonly json?: true
}

export function audit(): Command {
  return new Command('audit')
    .description(
      'Compares the index with documents, names each difference, and repairs it if told to. Exit code 1: some are left.',
    )
    .option('--collection <name>', 'another collection than the one that answers')
    .option('--partition <number>', 'only this partition', whole)
    .option('--repair', 'derive again what is wrong, and remove what nobody is shown; a worker must run')
    .option('--renew', 'also derive again what an older version of the pipeline made')
    .option('--deep <documents>', 'derive so many documents again, and compare', whole)
    .option('--json', 'the report as JSON')
    .addHelpText('after', '\nExample: freshet audit --repair')
    .action(async (flags: Flags, command: Command) => {
      const report = await withOutside((outside) =>
        run(outside, flags, (message) => command.error(`error: ${message}`)),
      )
      console.log(flags.json ? JSON.stringify(report, null, 2) : auditLines(report, flags).join('\n'))
      if (!report.inSync) process.exitCode = 1
    })
}

async function run(
  outside: Outside,
  { collection, partition, repair, renew, deep, json }: Flags,
  wrongUse: (message: string) => never,
): Promise<AuditReport> {
  const config = loadConfig(workerConfig, { env: process.env })
  const { world, model, close } = await openWorld(outside, config, collection)
  if (partition !== undefined && partition >= world.partitions)
    wrongUse(`--partition: is ${partition}, and there are 0 to ${world.partitions - 1}`)
  const engine = deep === undefined ? null : await openOwnEngine(config, model)
  const progress = auditProgress(process.stderr)
  const options: AuditOptions = {
    ...(partition !== undefined && { partitions: [partition] }),
    repair: repair === true,
    renew: renew === true,
    ...(engine && deep && { deep: { documents: deep, check: deepCheck(engine) } }),
    ...(!json && { progress: progress.at }),
  }
  try {
    return await auditNow(world, options)
  } finally {
    progress.close()
    await engine?.close()
    await close()
  }
}

async function openWorld(
  outside: Outside,
  config: WorkerConfig,
  wanted: string | undefined,
): Promise<{ world: AuditWorld; model: ModelVersion | null; close(): Promise<void> }> {
  const { broker } = outside
  const qdrant = outside.qdrant()
  const topics = await broker.admin.topics()
  const prefix = config.topicPrefix
  const decided = await controlNow(outside, prefix)
  const inTopics = spaceIn(topics.map(({ name }) => name).filter((name) => name.startsWith(prefix))) ?? ''
  const named = wanted ?? servingIn(decided, { prefix, space: inTopics }).collection
  const space = await spaceOf(qdrant, named)
  const scope = { prefix, space: space.id }
  const serde = outside.serde(scope)
  await serde.register([documents, redo])
  const topic = topics.find(({ name }) => name === nameIn(scope, documents))
  if (topic === undefined) throw new Error(`topic ${nameIn(scope, documents)} does not exist; freshet up creates it`)
  const epochs = await openEpochs(broker, serde, scope)
  const { epoch } = epochs
  const producer = await broker.producer()
  return {
    model: decided.get(spaceKey(space.id))?.space ?? null,
    world: {
      broker,
      contents: qdrantContents(qdrant, { collection: named, space: space.id }),
      serde,
      scope,
      partitions: topic.partitions,
      epoch,
      check: () => checkEpoch(epochs, epoch),
      clock: systemClock,
      send: (records) => producer.send(records),
    },
    async close() {
      await producer.close()
      await epochs.close()
    },
  }
}

/** Of the collection's space; where nobody has written down which that is, of the configured model. */
async function openOwnEngine(config: WorkerConfig, model: ModelVersion | null) {
  const { configuredFor, openEngine } = await import('../services/engine.ts')
  const { pino } = await import('pino')
  return openEngine(model === null ? config : configuredFor(config, model), {
    workers: 1,
    models: addresses().models,
    queries: false,
    instance: 'audit',
    log: pino({ level: 'silent' }),
  })
}

function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('is not a whole number.')
  return Number(text)
}
