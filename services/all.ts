import { randomBytes } from 'node:crypto'
import { runAdmin } from './admin/admin.ts'
import {
  adminConfig,
  type ConfigSources,
  gatewayConfig,
  inferenceConfig,
  loadConfig,
  queryConfig,
  rolePorts,
  workerConfig,
} from './config.ts'
import { runGateway } from './gateway/gateway.ts'
import { runInference } from './inference/inference.ts'
import { runQuery } from './query/query.ts'
import { runWorker } from './worker/worker.ts'

/**
 * Every role in one process, each with the ports that it has by itself: for a laptop, or a small machine. They still meet over sockets and
 * topics, and where one cannot go on, all end. Resolves when all are ready.
 */
export async function runAll(env: ConfigSources['env']): Promise<void> {
  const { internalSecret } = loadConfig(gatewayConfig, { env })
  const known = internalSecret === undefined ? { internalSecret: randomBytes(32).toString('hex') } : {}
  const worker = loadConfig(workerConfig, { env })
  // There is a door, so nobody is let in who did not come through it.
  const query = loadConfig(queryConfig, { env, flags: { ...known, principals: 'signed' } })
  const admin = loadConfig(adminConfig, { env, flags: known })
  const inference = loadConfig(inferenceConfig, { env, flags: { ...known, principals: 'signed' } })
  const upstreams = {
    queryUpstreams: `http://127.0.0.1:${rolePorts(query).query}`,
    adminUpstreams: `http://127.0.0.1:${rolePorts(admin).admin}`,
    inferenceUpstreams: `http://127.0.0.1:${rolePorts(inference).inference}`,
  }
  const gateway = loadConfig(gatewayConfig, { env, flags: { ...known, ...upstreams } })
  // They close in the opposite order.
  await Promise.all([runWorker(worker), runQuery(query), runAdmin(admin), runInference(inference), runGateway(gateway)])
}
