import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { coordinatorsReady } from '../kafka/probe.ts'
import type { Command, Part } from '../part-process.ts'
import { read, SERVER_NAME, type Secured, securedUsers } from '../secure/secured.ts'
import { setUpKafka } from '../secure/set-up-kafka.ts'
import { type JvmProgram, jvm } from './jvm.ts'
import { type Places, type SecurePlaces, writeConfiguration } from './places.ts'

const templates = join(import.meta.dirname, '..', 'kafka')
const log4j = join(templates, 'log4j2.xml')

/** The id of every local cluster. It has no meaning beyond one machine. */
const clusterId = 'RnJlc2hldC1sb2NhbC0wMQ'

/** One Kafka broker that is its own controller. */
export function kafkaPart({ ports, dataDir, archiveDir, tools, secure }: Places): Part {
  const home = join(dataDir, 'kafka')
  let afterEnd = (_clean: boolean) => {}
  return {
    name: 'kafka',
    startMsMax: 60_000,
    stopMsMax: 20_000,
    async command() {
      const jarDir = await tools.kafka
      const configuration = join(home, 'server.properties')
      const secured = secure?.made ?? null
      const values = { kafka: ports.kafka, controller: ports.controller, directory: join(home, 'log') }
      const guarded = secure === null || secured === null ? OPEN : guardedBy(secure, secured)
      const parts = ['server.properties', ...guarded.templates].map((name) => join(templates, name))
      writeConfiguration(parts, configuration, { ...values, ...guarded.values })
      const program = kafkaProgram({
        name: 'kafka',
        jarDir,
        mainClass: 'kafka.Kafka',
        args: [configuration],
        cwd: home,
        properties: guarded.properties,
      })
      const { command, ended } = jvm(program, archiveDir)
      await format(home, configuration, jarDir, command, secured)
      afterEnd = ended
      return command
    },
    async ready(signal) {
      if (secure === null) await coordinatorsReady(ports.kafka, signal)
      else await setUpKafka(secure, ports)
    },
    ended: (clean) => afterEnd(clean),
  }
}

/** A program of Kafka's own: broker or worker. */
export function kafkaProgram({ name, jarDir, mainClass, args, cwd, properties = {} }: KafkaProgram): JvmProgram {
  const launch = ['-cp', join(jarDir, '*'), mainClass]
  return { name, heapMiBMax: 384, launch, args, cwd, properties: { 'log4j2.configurationFile': log4j, ...properties } }
}

export interface KafkaProgram {
  readonly name: string
  readonly jarDir: string
  readonly mainClass: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly properties?: Readonly<Record<string, string>>
}

interface Guard {
  readonly templates: readonly string[]
  readonly values: Readonly<Record<string, string>>
  /** Of the JVM. */
  readonly properties: Readonly<Record<string, string>>
}

const OPEN: Guard = { templates: ['plaintext.properties'], values: {}, properties: {} }

function guardedBy({ oauth }: SecurePlaces, secured: Secured): Guard {
  const values = {
    password: read(secured.passwordOf('broker')),
    both: secured.both,
    ca: secured.ca,
    name: SERVER_NAME,
    mechanisms: oauth === null ? 'SCRAM-SHA-512' : 'SCRAM-SHA-512,OAUTHBEARER',
  }
  if (oauth === null) return { templates: ['secure.properties'], values, properties: {} }
  return {
    templates: ['secure.properties', 'oauth.properties'],
    values: { ...values, ...oauth },
    // Kafka asks at no address that is not named here.
    properties: { 'org.apache.kafka.sasl.oauthbearer.allowed.urls': oauth.jwks },
  }
}

/** Makes the log folder once, with the users that Kafka is to know. A folder that is not wholly made has never been served, so it is made again. */
async function format(
  home: string,
  configuration: string,
  jarDir: string,
  { file }: Command,
  secured: Secured | null,
): Promise<void> {
  const done = join(home, 'formatted')
  if (existsSync(done)) return
  rmSync(join(home, 'log'), { recursive: true, force: true })
  const tool = ['kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', configuration]
  const users = join(home, 'users')
  if (secured !== null) {
    // In a file: everybody on the machine sees the arguments of a process.
    const of = (user: (typeof securedUsers)[number]) =>
      `--add-scram\nSCRAM-SHA-512=[name=${user},password=${read(secured.passwordOf(user))}]\n`
    writeFileSync(users, securedUsers.map(of).join(''), { mode: 0o600 })
    tool.push(`@${users}`)
  }
  const args = [
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    `-Dlog4j2.configurationFile=${log4j}`,
    '-cp',
    join(jarDir, '*'),
  ]
  const child = spawn(file, [...args, ...tool], { stdio: ['ignore', 'pipe', 'pipe'] })
  const output: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
  const [code] = await once(child, 'close')
  rmSync(users, { force: true })
  if (code !== 0)
    throw new Error(
      `Kafka's log folder could not be made:\n${withoutPasswords(Buffer.concat(output).toString('utf8'))}`,
    )
  writeFileSync(done, '')
}

const withoutPasswords = (text: string): string => text.replace(/password=[^\]]*/g, 'password=[secret]')
