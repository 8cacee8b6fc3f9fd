import { join } from 'node:path'
import { carryOut, refusals } from '../connectors/kafka-connect/carry-out.ts'
import { type ConnectClient, connectClient } from '../connectors/kafka-connect/client.ts'
import { type DeclaredConnector, declaredIn } from '../connectors/kafka-connect/declared.ts'
import { planOf } from '../connectors/kafka-connect/reconcile.ts'
import { portsFrom } from '../infra/local/ports.ts'
import { localSettings, repositoryDir } from '../infra/local/settings.ts'

/** The stack's Kafka Connect, and the configurations that come with Freshet. */
export const stackConnect = (): ConnectClient => connectClient(`http://127.0.0.1:${ports().connect}`)
const ports = () => portsFrom(localSettings(process.env).portBase)

/** One of them as it is in the repository, but for what a test must have of its own: names, ports, topics. */
export function configured(name: string, own: string, changes: Readonly<Record<string, string>>): DeclaredConnector {
  const [declared] = declaredIn(join(repositoryDir, 'connectors/kafka-connect/configurations', `${name}.yaml`))
  const config = Object.entries(declared!.config).map(([key, value]) => [
    key,
    value.replace('127.0.0.1:18081', `127.0.0.1:${ports().registry}`),
  ])
  return { ...declared!, name: own, config: { ...Object.fromEntries(config), ...changes } }
}

/** As `freshet connect apply` does it. */
export async function applied(connector: DeclaredConnector, client = stackConnect()): Promise<void> {
  const plan = planOf([connector], await client.connectors())
  const refused = await refusals(plan, client)
  if (refused.length > 0) throw new Error(refused.join('\n'))
  const [outcome] = await carryOut(plan, client)
  if (outcome !== undefined && outcome.cause !== null) throw new Error(`${outcome.name}: ${outcome.cause}`)
}
