import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Part } from '../part-process.ts'
import { requireOk } from './http.ts'
import { jvm } from './jvm.ts'
import type { Places } from './places.ts'

/** The Apicurio schema registry. It keeps its schemas in a file: one that forgets them hands out their ids again. */
export function registryPart({ ports, dataDir, archiveDir, tools }: Places): Part {
  const home = join(dataDir, 'registry')
  let afterEnd = (_clean: boolean) => {}
  return {
    name: 'registry',
    startMsMax: 60_000,
    stopMsMax: 20_000,
    async command() {
      const jarDir = await tools.registry
      mkdirSync(home, { recursive: true })
      const { command, ended } = jvm(
        {
          name: 'registry',
          heapMiBMax: 256,
          launch: ['-jar', runner(jarDir)],
          args: [],
          cwd: home,
          properties: {
            'java.util.logging.manager': 'org.jboss.logmanager.LogManager',
            'quarkus.http.host': '127.0.0.1',
            'quarkus.http.port': String(ports.registry),
            'apicurio.storage.kind': 'sql',
            'apicurio.storage.sql.kind': 'h2',
            'apicurio.datasource.url': `jdbc:h2:file:${join(home, 'h2')};DB_CLOSE_ON_EXIT=FALSE`,
            'apicurio.datasource.username': 'sa',
            'apicurio.datasource.password': 'sa',
          },
        },
        archiveDir,
      )
      afterEnd = ended
      return command
    },
    async ready(signal) {
      await requireOk(`http://127.0.0.1:${ports.registry}/health/ready`, signal)
    },
    ended: (clean) => afterEnd(clean),
  }
}

function runner(jarDir: string): string {
  const jar = readdirSync(jarDir).find((name) => name.endsWith('-runner.jar'))
  if (jar === undefined) throw new Error(`no registry in ${jarDir}; remove the folder, and it is downloaded again`)
  return join(jarDir, jar)
}
