import { createHash } from 'node:crypto'
import { copyFileSync, linkSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { catalogue, defaultModel, goldenPath } from '../../engine/repository/catalogue.ts'
import { type ModelDeclaration, versionOfModel } from '../../engine/repository/declaration.ts'
import { GOLDEN, sha256Of, verifyFiles } from '../../engine/repository/model-files.ts'
import { declare, folderOf, withVersions } from '../../engine/repository/repository.ts'
import { canonicalJson, type Json } from '../../engine/space.ts'
import { serviceManifestJar } from './connect/service-manifest.ts'
import { type Download, unpackModel } from './maven-model.ts'
import { pythonFound, type Requirement } from './prerequisites.js'
import { repositoryDir } from './settings.ts'

/** `test-python` is a producer of another family, for tests only. */
export type ToolName = 'kafka' | 'registry' | 'connect' | 'python' | 'test-python' | 'models'

export interface StepOptions {
  readonly toolsDir: string
  readonly tools: readonly ToolName[]
  /** Names in the catalogue of models. Default: the default model. */
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

/** The first version of a model of the catalogue, in the repository of models. */
function modelStep({ toolsDir }: StepOptions, declaration: ModelDeclaration): Step {
  const modelsDir = join(toolsDir, 'models')
  const model = versionOfModel(declaration, 1)
  const { name, files } = model
  return {
    tool: 'models',
    title: `the model ${name}`,
    lane: 'maven',
    directory: folderOf(modelsDir, model),
    stamp: digest(canonicalJson({ name, ...declaration.versions[1] } as Json)),
    requires: ['java', 'maven'],
    async make(folder, download) {
      if (!(await taken(join(modelsDir, name), files, folder))) await unpackModel(model, folder, download)
      copyFileSync(goldenPath(name), join(folder, GOLDEN))
      await verifyFiles(folder, model)
      declare(modelsDir, name, (present) => withVersions(present ?? declaration, declaration.versions))
    },
  }
}

/** Before there were versions the files lay in the model's own folder; they stay there for those who still look there. */
async function taken(former: string, files: ModelDeclaration['versions'][string]['files'], folder: string) {
  for (const [file, { sha256 }] of Object.entries(files)) {
    const path = join(former, file)
    if ((await sha256Of(path).catch(() => null)) !== sha256) return false
    try {
      linkSync(path, join(folder, file))
    } catch {
      copyFileSync(path, join(folder, file))
    }
  }
  return true
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

function modelNamed(name: string): ModelDeclaration {
  const model = catalogue.find((each) => each.name === name)
  if (model !== undefined) return model
  throw new Error(`no model ${name}; there are: ${catalogue.map((each) => each.name).join(', ')}`)
}

function digest(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
