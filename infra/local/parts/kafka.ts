import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { coordinatorsReady } from '../kafka/probe.ts'
import type { Command, Part } from '../part-process.ts'
import { type JvmProgram, jvm } from './jvm.ts'
import { type Places, writeConfiguration } from './places.ts'

const templates = join(import.meta.dirname, '..', 'kafka')
const log4j = join(templates, 'log4j2.xml')

/** The id of every local cluster. It has no meaning beyond one machine. */
const clusterId = 'RnJlc2hldC1sb2NhbC0wMQ'

/** One Kafka broker that is its own controller. */
export function kafkaPart({ ports, dataDir, archiveDir, tools }: Places): Part {
  const home = join(dataDir, 'kafka')
  let afterEnd = (_clean: boolean) => {}
  return {
    name: 'kafka',
    startMsMax: 60_000,
    stopMsMax: 20_000,
    async command() {
      const jarDir = await tools.kafka
      const configuration = join(home, 'server.properties')
      const values = { kafka: ports.kafka, controller: ports.controller, directory: join(home, 'log') }
      writeConfiguration(join(templates, 'server.properties'), configuration, values)
      const program = kafkaProgram({
        name: 'kafka',
        jarDir,
        mainClass: 'kafka.Kafka',
        args: [configuration],
        cwd: home,
      })
      const { command, ended } = jvm(program, archiveDir)
      await format(home, configuration, jarDir, command)
      afterEnd = ended
      return command
    },
    async ready(signal) {
      await coordinatorsReady(ports.kafka, signal)
    },
    ended: (clean) => afterEnd(clean),
  }
}

/** A program of Kafka's own: broker or worker. */
export function kafkaProgram({ name, jarDir, mainClass, args, cwd }: KafkaProgram): JvmProgram {
  const launch = ['-cp', join(jarDir, '*'), mainClass]
  return { name, heapMiBMax: 384, launch, args, cwd, properties: { 'log4j2.configurationFile': log4j } }
}

export interface KafkaProgram {
  readonly name: string
  readonly jarDir: string
  readonly mainClass: string
  readonly args: readonly string[]
  readonly cwd: string
}

/** Makes the log folder once. A folder that is not wholly made has never been served, so it is made again. */
async function format(home: string, configuration: string, jarDir: string, { file }: Command): Promise<void> {
  const done = join(home, 'formatted')
  if (existsSync(done)) return
  rmSync(join(home, 'log'), { recursive: true, force: true })
  const tool = ['kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', configuration]
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
  if (code !== 0) throw new Error(`Kafka's log folder could not be made:\n${Buffer.concat(output).toString('utf8')}`)
  writeFileSync(done, '')
}
