import type { LocalSettings } from '../infra/local/settings.ts'
import type { Role } from '../infra/local/stack.ts'
import { rolePorts } from '../services/config.ts'

/** Freshet's own processes beside a local stack. They take everything else from the environment. */
export function localRoles(
  { portBase, dataDir, toolsDir }: Pick<LocalSettings, 'portBase' | 'dataDir' | 'toolsDir'>,
  env: Readonly<Record<string, string>> = {},
): Role[] {
  const shared = { FRESHET_PORT_BASE: String(portBase), FRESHET_DATA: dataDir, FRESHET_TOOLS: toolsDir, ...env }
  const role = (name: string, adminPort: number): Role => ({
    name,
    args: ['services/main.ts', name],
    env: shared,
    readyUrl: `http://127.0.0.1:${adminPort}/health/ready`,
  })
  const { worker, queryAdmin } = rolePorts({ portBase })
  return [role('worker', worker), role('query', queryAdmin)]
}
