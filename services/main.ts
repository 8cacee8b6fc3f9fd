import { Fatal, reasonOf } from '../streams/errors.ts'
import { adminConfig, gatewayConfig, inferenceConfig, loadConfig, queryConfig, workerConfig } from './config.ts'

/** `node services/main.ts <role>`: one program, one image, role by argument. */
const roles: Record<string, () => Promise<void>> = {
  async worker() {
    const { runWorker } = await import('./worker/worker.ts')
    await runWorker(loadConfig(workerConfig, { env: process.env }))
  },
  async query() {
    const { runQuery } = await import('./query/query.ts')
    await runQuery(loadConfig(queryConfig, { env: process.env }))
  },
  async admin() {
    const { runAdmin } = await import('./admin/admin.ts')
    await runAdmin(loadConfig(adminConfig, { env: process.env }))
  },
  async inference() {
    const { runInference } = await import('./inference/inference.ts')
    await runInference(loadConfig(inferenceConfig, { env: process.env }))
  },
  async gateway() {
    const { runGateway } = await import('./gateway/gateway.ts')
    await runGateway(loadConfig(gatewayConfig, { env: process.env }))
  },
  async all() {
    const { runAll } = await import('./all.ts')
    await runAll(process.env)
  },
}

const [, , role = ''] = process.argv
try {
  if (roles[role] === undefined)
    throw new Fatal(`role: ${JSON.stringify(role)} is not a role; choose one of ${Object.keys(roles).join(', ')}`)
  await roles[role]()
} catch (error) {
  console.error(
    JSON.stringify({
      level: 'fatal',
      role,
      reason: reasonOf(error),
      stack: error instanceof Fatal ? undefined : (error as Error).stack,
    }),
  )
  process.exit(1)
}
