import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Part } from '../part-process.ts'
import { read, type Secured } from '../secure/secured.ts'
import { requireOk, requireOkOverTls } from './http.ts'
import { jvm } from './jvm.ts'
import type { Places } from './places.ts'

/** The Apicurio schema registry. It keeps its schemas in a file: one that forgets them hands out their ids again. */
export function registryPart({ ports, dataDir, archiveDir, tools, secure }: Places): Part {
  const home = join(dataDir, 'registry')
  let afterEnd = (_clean: boolean) => {}
  return {
    name: 'registry',
    startMsMax: 60_000,
    stopMsMax: 20_000,
    async command() {
      const jarDir = await tools.registry
      mkdirSync(home, { recursive: true })
      const secured = secure?.made ?? null
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
            ...(secured === null ? { 'quarkus.http.port': String(ports.registry) } : guard(secured, ports.registry)),
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
      const url = `://127.0.0.1:${ports.registry}/health/ready`
      if (secure === null) await requireOk(`http${url}`, signal)
      else await requireOkOverTls(`https${url}`, read(secure.made.ca), signal)
    },
    ended: (clean) => afterEnd(clean),
  }
}

/**
 * HTTPS, and for everything but its health a bearer token that is signed by our key: reading for some, writing schemas for others. The key is
 * that of a tenant for all paths, since the default one must have a server that gives out tokens; nobody ever asks that.
 */
function guard(secured: Secured, port: number): Record<string, string> {
  return {
    'quarkus.http.insecure-requests': 'disabled',
    'quarkus.http.ssl-port': String(port),
    'quarkus.http.ssl.certificate.files': secured.certificate,
    'quarkus.http.ssl.certificate.key-files': secured.key,
    'apicurio.auth.enabled': 'true',
    'apicurio.auth.role-based-authorization': 'true',
    'apicurio.auth.role-source': 'token',
    'quarkus.oidc.tenant-enabled': 'true',
    'quarkus.oidc.client-id': 'registry',
    'quarkus.oidc.auth-server-url': 'http://127.0.0.1:1',
    'quarkus.oidc.discovery-enabled': 'false',
    'quarkus.oidc.jwks-path': '/none',
    'quarkus.oidc.jwks.resolve-early': 'false',
    'quarkus.oidc.freshet.public-key': secured.registryPublicKey,
    'quarkus.oidc.freshet.tenant-paths': '/*',
    'quarkus.oidc.freshet.token.issuer': 'freshet',
  }
}

function runner(jarDir: string): string {
  const jar = readdirSync(jarDir).find((name) => name.endsWith('-runner.jar'))
  if (jar === undefined) throw new Error(`no registry in ${jarDir}; remove the folder, and it is downloaded again`)
  return join(jarDir, jar)
}
