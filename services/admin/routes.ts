import { z } from 'zod'
import { checkKey } from '../../processors/document-key.ts'
import { EVERY_GROUP, groupCharsMax } from '../../search/visibility.ts'
import { Reject } from '../../streams/errors.ts'
import type { Decider } from '../administration.ts'
import { createKey, listKeys, revokeKey } from '../key-administration.ts'
import { type Principal, scopes } from '../principal.ts'
import { type AdminPorts, Refused } from './ports.ts'

/** What is asked by whom: the principal has the scope `admin`, and a body is as its schema says. */
export interface Asked<B = unknown> {
  readonly principal: Principal
  /** May decide for every tenant. */
  readonly isOperator: boolean
  readonly decider: Decider
  readonly params: Readonly<Record<string, string>>
  readonly body: B
  readonly signal: AbortSignal
}

export interface AdminRoute {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  /** null: none is read. */
  readonly body: z.ZodType | null
  /** What an operator alone may do. */
  readonly forOperators: boolean
  /** Writes down who decided what. */
  readonly decides: boolean
  run(asked: Asked, ports: AdminPorts): Promise<{ readonly status?: number; readonly answer: unknown }>
}

const keyBody = z.strictObject({
  name: z.string().min(1).max(200),
  tenant: z.string().optional(),
  scopes: z.array(z.enum(scopes)).min(1),
  groups: z.array(z.string().min(1).max(groupCharsMax)).max(256).optional(),
  expiresInDays: z.number().positive().max(36_500).optional(),
})

const erasureBody = z.strictObject({
  tenant: z.string().optional(),
  /** Ids, without the tenant; or everything of the tenant. */
  documents: z.union([z.literal('all'), z.array(z.string().min(1)).min(1).max(1_000)]),
  dryRun: z.boolean().default(false),
  timeoutMs: z.number().int().min(1).max(60_000).default(30_000),
})

export const adminRoutes: readonly AdminRoute[] = [
  route('GET', '/v1/admin/keys', null, { decides: false }, async ({ principal, isOperator }, { control }) => ({
    answer: { keys: listKeys(control.entries(), isOperator ? null : principal.tenant) },
  })),
  route('POST', '/v1/admin/keys', keyBody, {}, async (asked, ports) => {
    const { body, principal } = asked
    const tenant = tenantFor(asked, body.tenant)
    if (listKeys(ports.control.entries(), tenant).length >= KEYS_OF_TENANT_MAX)
      throw new Refused(409, 'too_many_keys', `${tenant} has ${KEYS_OF_TENANT_MAX} keys already, revoked ones counted`)
    const { limits } = principal
    const { name, scopes, expiresInDays: expires } = body
    const wanted = { name, tenant, scopes, groups: groupsFor(asked, body.groups), expires, ...limits }
    return { status: 201, answer: await ports.administer(asked.decider, (deciding) => createKey(wanted, deciding)) }
  }),
  route('DELETE', '/v1/admin/keys/:id', null, {}, async ({ params, principal, isOperator, decider }, ports) => {
    const tenant = isOperator ? null : principal.tenant
    const revoked = await ports.administer(decider, (deciding) => revokeKey(params.id!, deciding, tenant))
    if (revoked === undefined) throw new Refused(404, 'not_found', `there is no key ${params.id}`)
    return { answer: revoked }
  }),
  route('POST', '/v1/admin/erasures', erasureBody, {}, async (asked, ports) => {
    const { documents, dryRun, timeoutMs } = asked.body
    const tenant = tenantFor(asked, asked.body.tenant)
    const subject = documents === 'all' ? { tenant } : { keys: documents.map((id) => keyOf(tenant, id)) }
    const options = { dryRun, timeoutMs, signal: asked.signal }
    return { answer: await ports.erase(subject, asked.decider, options) }
  }),
  route('GET', '/v1/admin/status', null, { decides: false, forOperators: true }, async (_asked, ports) => ({
    answer: await ports.status(),
  })),
]

/** Whose tenant is meant: the caller's own; an operator may name another. */
function tenantFor({ principal, isOperator }: Asked, named: string | undefined): string {
  if (named === undefined || named === principal.tenant) return principal.tenant
  if (isOperator) return named
  throw new Refused(403, 'forbidden', `tenant: is ${JSON.stringify(named.slice(0, 80))}; leave it out, it is yours`)
}

/** Nobody gives away to see more than it sees itself. */
function groupsFor({ principal, isOperator }: Asked, wanted = principal.groups): readonly string[] {
  const { groups } = principal
  const foreign = wanted.find((group) => !groups.includes(group))
  if (foreign === undefined || groups.includes(EVERY_GROUP) || isOperator) return wanted
  throw new Refused(403, 'forbidden', `groups: the key that asks is not in ${JSON.stringify(foreign)}`)
}

function keyOf(tenant: string, id: string): string {
  const key = `${tenant}/${id}`
  try {
    checkKey(key)
    return key
  } catch (error) {
    if (error instanceof Reject) throw new Refused(400, 'bad_request', `documents: ${error.message}`)
    throw error
  }
}

/** `control` is in the memory of every role. */
const KEYS_OF_TENANT_MAX = 1_000

function route<B>(
  method: AdminRoute['method'],
  path: string,
  body: z.ZodType<B> | null,
  { forOperators = false, decides = true }: Partial<Pick<AdminRoute, 'forOperators' | 'decides'>>,
  run: (asked: Asked<B>, ports: AdminPorts) => ReturnType<AdminRoute['run']>,
): AdminRoute {
  return { method, path, body, forOperators, decides, run: (asked, ports) => run(asked as Asked<B>, ports) }
}
