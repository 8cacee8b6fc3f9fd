import {
  actions,
  catalogue,
  connectDeadLetters,
  control,
  deadLetters,
  documents,
  inbox,
  indexed,
  ingestPositions,
  progress,
  redo,
  vectors,
} from '../schemas/topics.ts'
import type { Acl } from '../streams/brokers/kafka-acls.ts'
import type { Topic } from '../streams/topic.ts'

/** Who comes to Kafka: Freshet's roles, a Kafka Connect worker, people with the command line, and producers of others. */
export const kafkaUsers = ['worker', 'query', 'gateway', 'admin', 'operator', 'connect', 'producer'] as const
export type KafkaUser = (typeof kafkaUsers)[number]

export type TopicRight = 'read' | 'write' | 'create'

/**
 * What each may do with each topic, and with nothing else: here it is declared, and from here Kafka's access lists, the table in
 * docs/security.md and the test on a real broker are made. Whoever may read or write sees a topic's partitions and settings too.
 */
export const topicRights: Readonly<Record<KafkaUser, readonly (readonly [Topic, readonly TopicRight[]])[]>> = {
  worker: [
    [inbox, ['read', 'create']],
    [documents, ['read', 'write', 'create']],
    [redo, ['read', 'write', 'create']],
    [vectors, ['read', 'write', 'create']],
    [ingestPositions, ['read', 'write', 'create']],
    [indexed, ['write', 'create']],
    [progress, ['read', 'write', 'create']],
    [deadLetters, ['write', 'create']],
    [connectDeadLetters, ['read', 'create']],
    [control, ['read', 'write', 'create']],
    [actions, ['create']],
  ],
  query: [
    [documents, ['write']],
    // Standing queries are told by it what has changed.
    [vectors, ['read']],
    [indexed, ['read']],
    [progress, ['read']],
    [ingestPositions, ['read']],
    [control, ['read']],
  ],
  gateway: [[control, ['read']]],
  // It gives out keys and erases, over HTTP, as people do from the command line.
  admin: catalogue.map((topic) => [topic, ['read', 'write', 'create']] as const),
  operator: catalogue.map((topic) => [topic, ['read', 'write', 'create']] as const),
  connect: [
    [inbox, ['write']],
    [indexed, ['read']],
    [connectDeadLetters, ['write']],
  ],
  producer: [[inbox, ['write']]],
}

/** These look at every topic of the catalogue, whether it is as it must be; they see names and settings, no records. */
const lookers: readonly KafkaUser[] = ['worker', 'query']

/** Kafka's access lists of a platform whose names begin with `prefix`. `sources`: beside `inbox`, and with its rights. */
export function aclsOf(prefix: string, sources: readonly Topic[] = [], connectGroup = 'connect-local'): Acl[] {
  const ours: readonly KafkaUser[] = ['worker', 'query', 'gateway', 'admin', 'operator']
  return [
    ...kafkaUsers.flatMap((user) =>
      topicRights[user].flatMap(([topic, rights]) =>
        (topic === inbox ? [inbox, ...sources] : [topic]).map(
          (each): Acl => ({ user, ...patternOf(prefix, each), may: may(rights) }),
        ),
      ),
    ),
    ...lookers.flatMap((user) =>
      [...catalogue, ...sources].map(
        (topic): Acl => ({ user, ...patternOf(prefix, topic), may: ['DESCRIBE', 'DESCRIBE_CONFIGS'] }),
      ),
    ),
    // Whether Kafka is ready is asked under names of their own, which nobody commits anything under.
    ...ours.flatMap((user): Acl[] => [
      { user, of: 'group', name: READY, prefixed: false, may: ['DESCRIBE'] },
      { user, of: 'transactional id', name: READY, prefixed: false, may: ['WRITE'] },
    ]),
    { user: 'worker', of: 'group', name: `${prefix}freshet.`, prefixed: true, may: ['READ'] },
    { user: 'worker', of: 'transactional id', name: `${prefix}freshet.ingest/`, prefixed: true, may: ['WRITE'] },
    // How far the stages are, and where they are to go on.
    { user: 'admin', of: 'group', name: `${prefix}freshet.`, prefixed: true, may: ['DESCRIBE'] },
    { user: 'operator', of: 'group', name: `${prefix}freshet.`, prefixed: true, may: ['READ'] },
    ...connectAcls(connectGroup),
  ]
}

const may = (rights: readonly TopicRight[]): Acl['may'] => [
  ...(rights.includes('read') ? (['READ'] as const) : []),
  ...(rights.includes('write') ? (['WRITE'] as const) : []),
  ...(rights.includes('create') ? (['CREATE'] as const) : []),
  'DESCRIBE',
  'DESCRIBE_CONFIGS',
]

/** A space is known only when a model is: the topics of all spaces have one beginning. */
function patternOf(prefix: string, { name }: Topic): Pick<Acl, 'of' | 'name' | 'prefixed'> {
  const [fixed = '', ...rest] = name.split('<space>')
  return { of: 'topic', name: prefix + fixed, prefixed: rest.length > 0 }
}

/** What Connect keeps for itself, and the groups of its sinks. */
function connectAcls(group: string): Acl[] {
  const user = 'connect'
  const own = ['_connect_configs', '_connect_offsets', '_connect_status']
  return [
    ...own.map(
      (name): Acl => ({
        user,
        of: 'topic',
        name,
        prefixed: false,
        may: ['READ', 'WRITE', 'CREATE', 'DESCRIBE', 'DESCRIBE_CONFIGS'],
      }),
    ),
    { user, of: 'group', name: group, prefixed: false, may: ['READ'] },
    { user, of: 'group', name: 'connect-', prefixed: true, may: ['READ'] },
  ]
}

const READY = 'freshet-ready'
