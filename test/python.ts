import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { localSettings, repositoryDir } from '../infra/local/settings.ts'
import { setUp } from '../infra/local/setup.ts'
import type { Topic } from '../streams/topic.ts'
import type { Platform } from './platform.ts'

/** A record as the Python producer takes it: a key of text or of bytes, a value for its Avro serializer, or bytes as they are. */
export interface ForeignRecord {
  readonly key: string | Buffer | null
  readonly value: object | Buffer | null
}

export interface ForeignProducer {
  /** librdkafka's name of a partitioner; its default if left out. */
  readonly partitioner?: 'murmur2_random'
  /** File in schemas/ for the Avro serializer. */
  readonly schema?: string
}

/** Where a record lies; or why librdkafka did not write it. */
export type Place = { readonly partition: number; readonly offset: number } | { readonly error: string }

/** Writes with confluent-kafka for Python; the virtual environment is made once, then nothing is downloaded. */
export async function producePython(
  platform: Platform,
  topic: Topic,
  records: readonly ForeignRecord[],
  { partitioner, schema }: ForeignProducer = {},
): Promise<Place[]> {
  const { kafka, registry } = platform.urls
  const args = ['--kafka', kafka, '--registry', registry, '--topic', platform.topic(topic)]
  if (partitioner !== undefined) args.push('--partitioner', partitioner)
  if (schema !== undefined) args.push('--schema', join(repositoryDir, 'schemas', schema))
  const input = records.map((record) => `${JSON.stringify(lineOf(record))}\n`).join('')
  const lines = await runPython('produce.py', args, input)
  return lines.map((line) => JSON.parse(line) as Place)
}

/** What one of the programs in test/python/ prints, line by line. Rejects with what it says when it fails. */
export async function runPython(program: string, args: readonly string[], input = ''): Promise<string[]> {
  const python = join(await pythonDir, 'bin', 'python')
  const child = spawn(python, [join(import.meta.dirname, 'python', program), ...args])
  const [output, faults]: Buffer[][] = [[], []]
  child.stdout.on('data', (chunk: Buffer) => output!.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => faults!.push(chunk))
  child.stdin.end(input)
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${program} ended with exit code ${code}:\n${Buffer.concat(faults!)}`)
  return Buffer.concat(output!).toString('utf8').trim().split('\n')
}

const { toolsDir, dataDir } = localSettings(process.env)
const pythonDir = setUp({
  toolsDir,
  tools: ['test-python'],
  logDir: join(dataDir, 'logs'),
  signal: new AbortController().signal,
  report: () => {},
})['test-python']

function lineOf({ key, value }: ForeignRecord): object {
  return {
    ...(Buffer.isBuffer(key) ? { key64: key.toString('base64') } : { key }),
    ...(Buffer.isBuffer(value) ? { value64: value.toString('base64') } : { value }),
  }
}
