import { resolve } from 'node:path'
import type { LocalSettings } from '../infra/local/settings.ts'
import type { Role } from '../infra/local/stack.ts'
import { allocatorEnv } from '../services/allocator.ts'
import { callerConfig, loadConfig, rolePorts } from '../services/config.ts'
import { localAttributes } from './local-attributes.ts'
import { internalSecretFile } from './local-secrets.ts'

export type LocalRole = 'worker' | 'query' | 'gateway' | 'admin' | 'inference'
/** They reach Kafka, and need what lets them in. */
type OutsideRole = Exclude<LocalRole, 'inference'>

/** Freshet's own processes beside a local stack. They take everything else from the environment. `credentials`: of each its own. */
export function localRoles(
  { portBase, dataDir, toolsDir }: Pick<LocalSettings, 'portBase' | 'dataDir' | 'toolsDir'>,
  env: Readonly<Record<string, string>> = {},
  credentials: (role: OutsideRole) => Readonly<Record<string, string>> = () => ({}),
): Role[] {
  const secret = { FRESHET_INTERNAL_SECRET_FILE: internalSecretFile(dataDir) }
  const { tenant, attributes, mappings } = loadConfig(callerConfig, { env: process.env })
  const shared = {
    ...allocatorEnv,
    ...(attributes.size === 0 && { FRESHET_ATTRIBUTES: localAttributes }),
    // The roles do not run where the command was given.
    ...(mappings !== undefined && { FRESHET_MAPPINGS: resolve(mappings) }),
    FRESHET_PORT_BASE: String(portBase),
    FRESHET_DATA: dataDir,
    FRESHET_TOOLS: toolsDir,
    ...env,
  }
  // Whoever started this machine's stack decides for all of it.
  const operators = { FRESHET_OPERATOR_TENANT: tenant }
  const role = (name: LocalRole, adminPort: number, own: Readonly<Record<string, string>> = {}): Role => ({
    name,
    args: ['services/main.ts', name],
    env: { ...own, ...shared, ...(name !== 'inference' && credentials(name)) },
    readyUrl: `http://127.0.0.1:${adminPort}/health/ready`,
  })
  const { worker, queryAdmin, gatewayAdmin, adminMetrics, inference, inferenceAdmin } = rolePorts({ portBase })
  return [
    role('worker', worker),
    role('query', queryAdmin, { FRESHET_PRINCIPALS: 'signed', ...secret }),
    role('admin', adminMetrics, { ...secret, ...operators }),
    role('inference', inferenceAdmin, { ...INFERENCE, ...secret, ...operators }),
    role('gateway', gatewayAdmin, {
      FRESHET_INFERENCE_UPSTREAMS: `http://127.0.0.1:${inference}`,
      ...secret,
      ...operators,
    }),
  ]
}

/** The worker has the cores. */
const INFERENCE = { FRESHET_PRINCIPALS: 'signed', FRESHET_INFERENCE_THREADS: '1' }
