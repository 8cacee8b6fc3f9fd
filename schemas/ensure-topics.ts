import type { Admin } from '../streams/broker.ts'
import { Fatal } from '../streams/errors.ts'
import { nameIn, type Scope, type Topic } from '../streams/topic.ts'
import { catalogue } from './topics.ts'

export interface TopicPlan {
  readonly scope: Scope
  /** Of the topics that share their number of partitions; fixed for the life of the epoch. */
  readonly partitions: number
  readonly replicationFactor: number
}

/**
 * Creates the topics of the catalogue that do not exist, and checks those that do. Throws `Fatal`, naming the topic, the
 * setting and the fix, where one differs in what correctness rests on.
 */
export async function ensureTopics(
  admin: Admin,
  { scope, partitions, replicationFactor }: TopicPlan,
  topics: readonly Topic[] = catalogue,
): Promise<void> {
  const faults = topics.flatMap(retentionFaults)
  const present = new Map((await admin.topics()).map((state) => [state.name, state]))
  const partitionsOf = (topic: Topic) => (topic.partitions === 'shared' ? partitions : topic.partitions)
  const missing = topics.filter((topic) => !present.has(nameIn(scope, topic)))
  if (faults.length === 0 && missing.length > 0) {
    await admin.createTopics(
      missing.map((topic) => ({
        name: nameIn(scope, topic),
        partitions: partitionsOf(topic),
        replicationFactor,
        config: topic.config,
      })),
    )
  }
  for (const topic of topics) {
    const name = nameIn(scope, topic)
    const state = present.get(name)
    if (state === undefined) continue
    if (state.partitions !== partitionsOf(topic)) {
      faults.push(
        `topic ${name} has ${state.partitions} partitions and ${partitionsOf(topic)} are configured; set FRESHET_PARTITIONS=${state.partitions}, or copy it into a new epoch`,
      )
    }
    faults.push(...configFaults(name, topic, await admin.topicConfig(name)))
  }
  if (faults.length > 0) throw new Fatal(`the topics are not as they must be: ${faults.join('; ')}`)
}

/** Creates the sources that do not exist. Those that do are somebody's: any number of partitions, kept as they are kept. Answers what was created. */
export async function ensureSources(
  admin: Admin,
  plan: TopicPlan,
  sources: readonly Topic[],
): Promise<readonly Topic[]> {
  const present = new Set((await admin.topics()).map(({ name }) => name))
  const missing = sources.filter((source) => !present.has(nameIn(plan.scope, source)))
  if (missing.length > 0) await ensureTopics(admin, plan, missing)
  return missing
}

/** Settings that correctness rests on; others (retention by time, segments) are the operator's. */
const CHECKED = [
  'cleanup.policy',
  'message.timestamp.type',
  'max.message.bytes',
  'min.compaction.lag.ms',
  'delete.retention.ms',
] as const
const AT_LEAST = new Set<string>(['max.message.bytes', 'min.compaction.lag.ms', 'delete.retention.ms'])

export function configFaults(name: string, topic: Topic, actual: Readonly<Record<string, string>>): string[] {
  const faults = CHECKED.flatMap((setting) => {
    const wanted = topic.config[setting]
    const found = actual[setting]
    if (wanted === undefined || found === undefined || found === wanted) return []
    if (AT_LEAST.has(setting) && Number(found) >= Number(wanted)) return []
    return [
      `topic ${name} has ${setting}=${found} and needs ${AT_LEAST.has(setting) ? 'at least ' : ''}${wanted}; kafka-configs.sh --alter --topic ${name} --add-config ${setting}=${wanted}`,
    ]
  })
  return [...faults, ...retentionFaults({ ...topic, name, config: { ...topic.config, ...actual } })]
}

/** A stage that is less than min.compaction.lag.ms behind sees every tombstone only if those live longer than that. */
function retentionFaults({ name, config }: Topic): string[] {
  const lag = Number(config['min.compaction.lag.ms'] ?? 0)
  const tombstones = Number(config['delete.retention.ms'] ?? 86_400_000)
  if (!config['cleanup.policy']?.includes('compact') || lag < tombstones) return []
  return [
    `topic ${name}: min.compaction.lag.ms=${lag} must be below delete.retention.ms=${tombstones}, or a stage that is behind can miss a deletion`,
  ]
}
