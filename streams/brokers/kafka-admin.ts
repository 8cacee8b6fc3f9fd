import kafkajs, { type Admin as KafkaJsAdmin } from 'kafkajs'
import type { Admin, TopicPartition } from '../broker.ts'
import { systemClock } from '../clock.ts'
import { Fatal, Retry, reasonOf } from '../errors.ts'
import type { StateName } from '../states.ts'
import { type Cluster, createClient, type KafkaOptions, type Log } from './kafka-client.ts'
import { asInstruction, kafkaCodeOf } from './kafka-errors.ts'
import { Link } from './kafka-link.ts'
import { byTopic, committedOffsets, logRanges } from './kafka-offsets.ts'
import { topicStates } from './kafka-topics.ts'

export interface KafkaAdmin extends Admin {
  close(): void
}

export function kafkaAdmin(kafka: KafkaOptions & { readonly log: Log }): KafkaAdmin {
  const link = new Link(kafka)

  /** kafkajs's own admin client, for one call: it is needed at start and by people only. */
  const withAdmin = async <T>(doing: string, work: (admin: KafkaJsAdmin) => Promise<T>): Promise<T> => {
    const client = createClient(kafka)
    const admin = client.kafka.admin({ retry: { retries: 5 } })
    try {
      await admin.connect()
      return await work(admin)
    } catch (error) {
      throw asInstruction(error, doing)
    } finally {
      await admin.disconnect().catch(() => {})
      client.destroy()
    }
  }

  const topics = () => link.use('listing topics', async (cluster) => topicStates(await cluster.findControllerBroker()))

  const partitionsOf = async (cluster: Cluster, topic: string): Promise<TopicPartition[]> => {
    await cluster.addMultipleTargetTopics([topic])
    await cluster.refreshMetadataIfNecessary()
    return cluster
      .findTopicPartitionMetadata(topic)
      .map(({ partitionId }) => ({ topic, partition: partitionId }))
      .sort((a, b) => a.partition - b.partition)
  }

  /** Creating and deleting is answered before every broker knows. */
  const settled = async (doing: string, done: () => Promise<boolean>): Promise<void> => {
    const deadline = performance.now() + SETTLE_MS_MAX
    while (!(await done())) {
      if (performance.now() > deadline) throw new Retry(`${doing}: not in force after ${SETTLE_MS_MAX} ms`)
      await systemClock.wait(POLL_MS)
    }
  }

  const offsets = (topic: string) =>
    link.use(`reading the offsets of ${topic}`, async (cluster) => {
      const ranges = await logRanges(cluster, await partitionsOf(cluster, topic))
      return ranges
        .map(({ partition, start, end }) => ({ partition, start, end }))
        .sort((a, b) => a.partition - b.partition)
    })

  const notReady = (error: unknown, timeoutMs: number, state: StateName | null): Retry => {
    const reason = reasonOf(error)
    const how = kafka.security?.how ?? ''
    // A listener that wants to know who comes ends the connection without a word.
    const perhaps = state !== null || /SASL/.test(kafkaCodeOf(error) ?? '')
    const told = how === '' || !perhaps || reason.includes(how) ? reason : `${reason}; ${how}`
    return new Retry(`Kafka was not ready in ${timeoutMs} ms: ${told}`, state === null ? {} : { state })
  }

  return {
    async ready(timeoutMs) {
      const deadline = performance.now() + timeoutMs
      for (;;) {
        try {
          const cluster = await link.cluster()
          await topicStates(await cluster.findControllerBroker())
          const groups = await cluster.findGroupCoordinator({ groupId: PROBE })
          await groups.offsetFetch({ groupId: PROBE, topics: [] })
          const transactions = await cluster.findGroupCoordinator({ groupId: PROBE, coordinatorType: 1 })
          await transactions.initProducerId({ transactionalId: PROBE, transactionTimeout: 10_000 })
          return
        } catch (error) {
          link.drop()
          const instruction = asInstruction(error, 'Kafka is not ready')
          if (instruction instanceof Fatal) throw instruction
          if (performance.now() > deadline)
            throw notReady(error, timeoutMs, instruction instanceof Retry ? instruction.state : null)
          await systemClock.wait(POLL_MS)
        }
      }
    },

    topics,

    async createTopics(specs) {
      const existing = new Set((await topics()).map(({ name }) => name))
      const missing = specs.filter(({ name }) => !existing.has(name))
      if (missing.length === 0) return
      const names = missing.map(({ name }) => name)
      await withAdmin(`creating ${names.join(', ')}`, async (admin) => {
        try {
          await admin.createTopics({
            waitForLeaders: false,
            topics: missing.map(({ name, partitions, replicationFactor, config }) => ({
              topic: name,
              numPartitions: partitions,
              replicationFactor,
              configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
            })),
          })
        } catch (error) {
          const refusal = refusalIn(error)
          if (refusal !== null) throw refusal
        }
      })
      // Their leaders answer then, so that nobody is refused who comes next.
      await settled(`creating ${names.join(', ')}`, async () => {
        const answers = await Promise.all(missing.map(({ name }) => offsets(name).catch(() => [])))
        return answers.every((partitions, i) => partitions.length === missing[i]!.partitions)
      })
    },

    async deleteTopics(names) {
      const existing = new Set((await topics()).map(({ name }) => name))
      const present = names.filter((name) => existing.has(name))
      if (present.length === 0) return
      await withAdmin(`deleting ${present.join(', ')}`, async (admin) => {
        await admin.deleteTopics({ topics: present }).catch((error) => {
          if (kafkaCodeOf(error) !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error
        })
      })
      // What it knows of them is wrong now, and kafkajs asks for all topics that it ever knew together.
      link.drop()
      await settled(`deleting ${present.join(', ')}`, async () => {
        const known = new Set((await topics()).map(({ name }) => name))
        return !present.some((name) => known.has(name))
      })
    },

    async topicConfig(name) {
      return withAdmin(`reading the configuration of ${name}`, async (admin) => {
        const { resources } = await admin.describeConfigs({
          includeSynonyms: false,
          resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name }],
        })
        return Object.fromEntries(
          resources.flatMap(({ configEntries }) =>
            configEntries.map(({ configName, configValue }) => [configName, configValue ?? '']),
          ),
        )
      })
    },

    offsets,

    committed: (group, topic) =>
      link.use(`reading the committed offsets of ${group}`, async (cluster) => {
        const committed = await committedOffsets(cluster, group, await partitionsOf(cluster, topic))
        return committed.sort((a, b) => a.partition - b.partition)
      }),

    resetCommitted: (group, positions) =>
      link.use(`resetting the offsets of ${group}`, async (cluster) => {
        const coordinator = await cluster.findGroupCoordinator({ groupId: group })
        await coordinator.offsetCommit({
          groupId: group,
          groupGenerationId: NO_GENERATION,
          memberId: '',
          topics: byTopic(positions.map((at) => ({ ...at, offset: String(at.offset) }))),
        })
      }),

    close: () => link.close(),
  }
}

/** The first refusal of a topic, other than that it exists. */
function refusalIn(error: unknown): Error | null {
  const each = (error as { errors?: readonly Error[] }).errors ?? [error as Error]
  const refusal = each.find((one) => kafkaCodeOf(one) !== 'TOPIC_ALREADY_EXISTS')
  if (refusal === undefined) return null
  const code = kafkaCodeOf(refusal)
  if (code !== null && CONFIGURATION_FAULTS.has(code)) return new Fatal(reasonOf(refusal), { cause: refusal })
  return refusal
}

const CONFIGURATION_FAULTS = new Set([
  'INVALID_CONFIG',
  'INVALID_PARTITIONS',
  'INVALID_REPLICATION_FACTOR',
  'INVALID_REPLICA_ASSIGNMENT',
  'POLICY_VIOLATION',
])
/** Group and transactional id of the readiness check; nothing is ever committed under it. */
const PROBE = 'freshet-ready'
const NO_GENERATION = -1
const POLL_MS = 50
const SETTLE_MS_MAX = 15_000
