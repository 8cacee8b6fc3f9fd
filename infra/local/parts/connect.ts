import { join } from 'node:path'
import type { Part } from '../part-process.ts'
import { read } from '../secure/secured.ts'
import { requireOk } from './http.ts'
import { jvm } from './jvm.ts'
import { kafkaProgram } from './kafka.ts'
import { type Places, writeConfiguration } from './places.ts'

const templates = join(import.meta.dirname, '..', 'connect')

/** One Kafka Connect worker. */
export function connectPart({ ports, dataDir, archiveDir, tools, secure }: Places): Part {
  let afterEnd = (_clean: boolean) => {}
  return {
    name: 'connect',
    needs: ['kafka'],
    // Its converter writes schemas until it has stopped.
    uses: ['registry'],
    startMsMax: 120_000,
    stopMsMax: 20_000,
    async command() {
      const [jarDir, plugins] = await Promise.all([tools.kafka, tools.connect])
      const cwd = join(dataDir, 'connect')
      const configuration = join(cwd, 'connect.properties')
      const secured = secure?.made ?? null
      writeConfiguration(
        ['connect.properties', ...(secured ? ['secure.properties'] : [])].map((name) => join(templates, name)),
        configuration,
        {
          kafka: ports.kafka,
          connect: ports.connect,
          plugins,
          ...(secured && { ca: secured.ca, password: read(secured.passwordOf('connect')) }),
        },
      )
      const mainClass = 'org.apache.kafka.connect.cli.ConnectDistributed'
      const program = kafkaProgram({ name: 'connect', jarDir, mainClass, args: [configuration], cwd })
      const { command, ended } = jvm(program, archiveDir)
      afterEnd = ended
      return command
    },
    async ready(signal) {
      await requireOk(`http://127.0.0.1:${ports.connect}/connectors`, signal)
    },
    ended: (clean) => afterEnd(clean),
  }
}
