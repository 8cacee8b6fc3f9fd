import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { commandLineOf } from './lock.js'

/** Every port of a stack, counted from one base, so that several stacks run side by side. */
export interface Ports {
  readonly qdrantHttp: number
  readonly qdrant: number
  readonly query: number
  readonly gateway: number
  readonly admin: number
  readonly registry: number
  readonly connect: number
  readonly workerMetrics: number
  readonly queryMetrics: number
  readonly gatewayMetrics: number
  readonly adminMetrics: number
  readonly inference: number
  readonly inferenceGrpc: number
  readonly inferenceMetrics: number
  readonly kafka: number
  readonly controller: number
}

export function portsFrom(base: number): Ports {
  if (!Number.isInteger(base) || base < 1024 || base > 65_400) {
    throw new Error(`FRESHET_PORT_BASE is ${base}; it must be a whole number from 1024 to 65400`)
  }
  return {
    qdrantHttp: base + 33,
    qdrant: base + 34,
    gateway: base + 43,
    query: base + 80,
    registry: base + 81,
    admin: base + 82,
    connect: base + 83,
    workerMetrics: base + 90,
    queryMetrics: base + 91,
    gatewayMetrics: base + 94,
    adminMetrics: base + 95,
    inference: base + 85,
    inferenceGrpc: base + 86,
    inferenceMetrics: base + 96,
    kafka: base + 92,
    controller: base + 93,
  }
}

/** How far apart two bases must be for two stacks not to meet. */
export const portSpan = 100

/** Throws if one of the ports is taken: which, by whom if it can be known, and what to set instead. */
export async function requireFree(ports: Ports, base: number, names: readonly (keyof Ports)[]): Promise<void> {
  const taken = (await Promise.all(names.map(async (name) => ((await free(ports[name])) ? [] : [name])))).flat()
  if (taken.length === 0) return
  const lines = taken.map((name) => `port ${ports[name]} (${name}) is taken${holder(ports[name])}`)
  throw new Error(`${lines.join('\n')}\nuse other ports: FRESHET_PORT_BASE=${await freeBase(base + portSpan)}`)
}

/** The first base from `from` on, in steps of `portSpan`, of which all ports are free. */
export async function freeBase(from: number): Promise<number> {
  for (let base = from; base <= 65_400; base += portSpan) {
    const all = await Promise.all(Object.values(portsFrom(base)).map(free))
    if (all.every((each) => each)) return base
  }
  throw new Error(`no free range of ${portSpan} ports from ${from} on`)
}

async function free(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}

function holder(port: number): string {
  const pid = process.platform === 'linux' ? holderByProc(port) : holderByLsof(port)
  if (pid === null) return ', by a process of another user or container'
  return `, by process ${pid} (${commandLineOf(pid)?.slice(0, 80) ?? 'unknown'})`
}

function holderByProc(port: number): number | null {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0')
  const listening = '0A'
  const inodes = ['/proc/net/tcp', '/proc/net/tcp6']
    .flatMap((table) => read(() => readFileSync(table, 'utf8').split('\n')))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(`:${hexPort}`) && fields[3] === listening)
    .map((fields) => `socket:[${fields[9]}]`)
  for (const pid of read(() => readdirSync('/proc').filter((name) => /^\d+$/.test(name)))) {
    const files = read(() => readdirSync(`/proc/${pid}/fd`))
    if (files.some((fd) => inodes.includes(read(() => [readlinkSync(`/proc/${pid}/fd/${fd}`)])[0] ?? '')))
      return Number(pid)
  }
  return null
}

function holderByLsof(port: number): number | null {
  const lines = read(() =>
    execFileSync('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-t'], { encoding: 'utf8' }).split('\n'),
  )
  return lines[0] ? Number(lines[0]) : null
}

/** Processes come and go, and those of others are closed to us: what cannot be read is nothing. */
function read(list: () => string[]): string[] {
  try {
    return list()
  } catch {
    return []
  }
}
