import kafkajs, { type AclEntry, type AclFilter } from 'kafkajs'
import { createClient, type KafkaOptions } from './kafka-client.ts'
import { asInstruction } from './kafka-errors.ts'

/** What a user may do with a resource, or with all whose names begin alike. */
export interface Acl {
  readonly user: string
  readonly of: 'topic' | 'group' | 'transactional id'
  readonly name: string
  readonly prefixed: boolean
  readonly may: readonly (keyof typeof OPERATIONS)[]
}

/** Makes these the access lists of their users: adds what is missing, and takes away what they have besides. As a super user. */
export async function setAcls(kafka: KafkaOptions, acls: readonly Acl[]): Promise<void> {
  const client = createClient(kafka)
  const admin = client.kafka.admin({ retry: { retries: 5 } })
  try {
    await admin.connect()
    const users = new Set(acls.map(({ user }) => `User:${user}`))
    const wanted = new Map(acls.flatMap(entriesOf).map((entry) => [keyOf(entry), entry]))
    const { resources } = await admin.describeAcls(ANY)
    const present = resources
      .flatMap(({ acls: each, ...resource }) => each.map((acl): AclEntry => ({ ...resource, ...acl })))
      .filter(({ principal }) => users.has(principal))
    const known = new Set(present.map(keyOf))
    const missing = [...wanted].flatMap(([key, entry]) => (known.has(key) ? [] : [entry]))
    const foreign = present.filter((entry) => !wanted.has(keyOf(entry)))
    if (missing.length > 0) await admin.createAcls({ acl: missing })
    if (foreign.length > 0) await admin.deleteAcls({ filters: foreign })
  } catch (error) {
    throw asInstruction(error, 'setting access lists')
  } finally {
    await admin.disconnect().catch(() => {})
    client.destroy()
  }
}

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs

const OPERATIONS = {
  READ: AclOperationTypes.READ,
  WRITE: AclOperationTypes.WRITE,
  CREATE: AclOperationTypes.CREATE,
  DESCRIBE: AclOperationTypes.DESCRIBE,
  DESCRIBE_CONFIGS: AclOperationTypes.DESCRIBE_CONFIGS,
} as const

const RESOURCES = {
  topic: AclResourceTypes.TOPIC,
  group: AclResourceTypes.GROUP,
  'transactional id': AclResourceTypes.TRANSACTIONAL_ID,
} as const

const ANY: AclFilter = {
  resourceType: AclResourceTypes.ANY,
  resourcePatternType: ResourcePatternTypes.ANY,
  operation: AclOperationTypes.ANY,
  permissionType: AclPermissionTypes.ANY,
}

const entriesOf = ({ user, of, name, prefixed, may }: Acl): AclEntry[] =>
  may.map((operation) => ({
    principal: `User:${user}`,
    host: '*',
    operation: OPERATIONS[operation],
    permissionType: AclPermissionTypes.ALLOW,
    resourceType: RESOURCES[of],
    resourceName: name,
    resourcePatternType: prefixed ? ResourcePatternTypes.PREFIXED : ResourcePatternTypes.LITERAL,
  }))

const keyOf = ({
  principal,
  host,
  operation,
  permissionType,
  resourceType,
  resourceName,
  resourcePatternType,
}: AclEntry) => [principal, host, operation, permissionType, resourceType, resourcePatternType, resourceName].join('\n')
