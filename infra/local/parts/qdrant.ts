import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { QdrantClient } from '@qdrant/js-client-grpc'
import { trust } from '../../../connectors/qdrant/trust.ts'
import { reasonOf } from '../../../streams/errors.ts'
import type { Command, Part } from '../part-process.ts'
import { read } from '../secure/secured.ts'
import type { Places } from './places.ts'

const facade = join(import.meta.dirname, '..', 'qdrant', 'server.py')

/** Qdrant: its own server if that is on the PATH, else its engine behind the same gRPC API. Their files differ, so each has a folder of its own. */
export function qdrantPart(places: Places, { server }: { server: boolean }): Part {
  const { secure, ports } = places
  const url = `127.0.0.1:${ports.qdrant}`
  let probe: ((signal: AbortSignal) => Promise<void>) | null = null
  return {
    name: 'qdrant',
    startMsMax: 60_000,
    stopMsMax: 15_000,
    command: () => (server ? serverCommand(places) : embeddedCommand(places)),
    async ready(signal) {
      if (secure !== null) trust(read(secure.made.ca))
      probe ??= serves(secure === null ? `http://${url}` : `https://${url}`)
      await probe(signal)
    },
  }
}

/** A probe of a Qdrant's health over gRPC. */
function serves(url: string): (signal: AbortSignal) => Promise<void> {
  const client = new QdrantClient({ url, checkCompatibility: false, timeout: Number.POSITIVE_INFINITY })
  return async (signal) => {
    await client.api('service').healthCheck({}, { signal })
  }
}

const reachMsMax = 10_000
const reachEveryMs = 200

/** Resolves when a Qdrant that runs elsewhere answers; rejects if it does not for some time. */
export async function reachable(url: string): Promise<void> {
  const probe = serves(url)
  const deadline = performance.now() + reachMsMax
  for (;;) {
    try {
      return await probe(AbortSignal.timeout(reachMsMax))
    } catch (cause) {
      if (performance.now() > deadline) throw new Error(`no Qdrant answers at ${url}: ${reasonOf(cause)}`, { cause })
      await delay(reachEveryMs)
    }
  }
}

async function embeddedCommand({ ports, dataDir, tools, secure }: Places): Promise<Command> {
  const path = join(dataDir, 'qdrant')
  const python = await tools.python
  const secured = secure?.made
  const guard =
    secured === undefined
      ? []
      : ['--tls-cert', secured.certificate, '--tls-key', secured.key, '--api-key-file', secured.qdrantKey]
  mkdirSync(path, { recursive: true })
  return {
    file: join(python, 'bin', 'python'),
    args: [facade, '--host', '127.0.0.1', '--port', String(ports.qdrant), '--path', path, ...guard],
    env: { PYTHONUNBUFFERED: '1' },
  }
}

async function serverCommand({ ports, dataDir, secure }: Places): Promise<Command> {
  const home = join(dataDir, 'qdrant-server')
  mkdirSync(home, { recursive: true })
  const secured = secure?.made
  return {
    file: 'qdrant',
    args: ['--disable-telemetry'],
    cwd: home,
    env: {
      QDRANT__SERVICE__HOST: '127.0.0.1',
      QDRANT__SERVICE__HTTP_PORT: String(ports.qdrantHttp),
      QDRANT__SERVICE__GRPC_PORT: String(ports.qdrant),
      QDRANT__STORAGE__STORAGE_PATH: join(home, 'storage'),
      QDRANT__STORAGE__SNAPSHOTS_PATH: join(home, 'snapshots'),
      ...(secured && {
        QDRANT__SERVICE__ENABLE_TLS: 'true',
        QDRANT__TLS__CERT: secured.certificate,
        QDRANT__TLS__KEY: secured.key,
        QDRANT__SERVICE__API_KEY: read(secured.qdrantKey),
      }),
    },
  }
}
