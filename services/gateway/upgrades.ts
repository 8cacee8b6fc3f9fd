import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Principal } from '../principal.ts'
import type { Access, Admitted } from './access.ts'
import type { Admission } from './admission.ts'
import { type Bounds, Holders } from './bounds.ts'
import type { Pools } from './pools.ts'
import { answerOf, asRefusal, Refusal } from './refusal.ts'
import { SOCKET_PATH, SOCKET_SCOPES } from './routes.ts'
import { checkHandshake, type Spliced, splice } from './sockets.ts'

export interface UpgradePorts {
  readonly admission: Admission
  /** Where WebSockets are served; undefined: nowhere. */
  readonly pools: Pools | undefined
  readonly secret: string
  readonly now: () => number
  readonly bounds: Pick<Bounds, 'socketsPerSubjectMax'>
  /** One call for each that is opened or refused. */
  upgraded(access: Access): void
  /** One call for each that was open. */
  closed(admitted: Admitted, ms: number): void
}

export interface Upgrades {
  readonly sockets: ReadonlySet<Spliced>
  handle(request: IncomingMessage, client: Duplex, head: Buffer): void
}

/** WebSockets: who asks is known before there is one, and from then on bytes are copied. */
export function upgrades(ports: UpgradePorts): Upgrades {
  const sockets = new Set<Spliced>()
  const holders = new Holders()

  async function upgrade(request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    const began = performance.now()
    const requestId = randomUUID()
    const address = request.socket.remoteAddress ?? ''
    let principal: Principal | null = null
    const admitted = (): Admitted => ({
      requestId,
      route: SOCKET_PATH,
      tenant: principal?.tenant ?? null,
      subject: principal?.subject ?? null,
      address,
    })
    const tell = (status: number, code: string, origin: string | null) => {
      const ms = performance.now() - began
      ports.upgraded({ ...admitted(), method: 'GET', status, code, ms, origin, attempts: 1 })
    }
    client.on('error', () => client.destroy())
    try {
      const pools = poolsFor(request, ports)
      checkHandshake(request)
      ports.admission.checkOrigin(request.headers)
      principal = await principalOf(request, address, ports)
      const holder = principal === null ? `address ${address}` : `${principal.tenant} ${principal.subject}`
      const open = holders.count(holder)
      if (open >= ports.bounds.socketsPerSubjectMax)
        throw new Refusal(429, 'too_many_connections', `there are ${open} open WebSockets already; close some`, {
          'retry-after': '5',
        })
      holders.add(holder)
      const { secret, now } = ports
      const { upstreams } = pools
      const spliced = await splice({ request, client, head, principal, requestId, upstreams, secret, now }).catch(
        (error) => {
          holders.remove(holder)
          throw error
        },
      )
      sockets.add(spliced)
      tell(101, 'ok', spliced.origin)
      const openedAt = performance.now()
      void spliced.closed.then(() => {
        sockets.delete(spliced)
        holders.remove(holder)
        ports.closed(admitted(), performance.now() - openedAt)
      })
    } catch (error) {
      const refusal = asRefusal(error)
      tell(refusal.status, refusal.code, null)
      refuseUpgrade(client, refusal, requestId)
    }
  }

  return { sockets, handle: (request, client, head) => void upgrade(request, client, head) }
}

function poolsFor({ url }: IncomingMessage, { pools }: UpgradePorts): Pools {
  if (pools === undefined || url?.split('?')[0] !== SOCKET_PATH)
    throw new Refusal(404, 'not_found', `WebSockets are at ${SOCKET_PATH}`)
  return pools
}

/** null: a page. It cannot send headers with a handshake, and says who it is in its first message. */
async function principalOf(
  { headers }: IncomingMessage,
  address: string,
  { admission }: UpgradePorts,
): Promise<Principal | null> {
  const { authorization, 'x-api-key': apiKey, origin } = headers
  if (origin !== undefined && authorization === undefined && apiKey === undefined) return null
  const principal = await admission.principal(headers, address)
  admission.checkScope(principal, SOCKET_SCOPES)
  admission.take(principal)
  return principal
}

function refuseUpgrade(client: Duplex, refusal: Refusal, requestId: string): void {
  const { status, headers, body } = answerOf(refusal, 'problem', requestId)
  const lines = Object.entries({ ...headers, connection: 'close', 'content-length': String(Buffer.byteLength(body)) })
  client.end(
    `HTTP/1.1 ${status} ${refusal.code}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`,
  )
  setTimeout(() => client.destroy(), REFUSED_MS).unref()
}

const REFUSED_MS = 2_000
