import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { type Model, servedVersions, versionOfModel, versionsOf } from '../engine/repository/declaration.ts'
import { nameOf } from '../engine/repository/model-files.ts'
import { declarationsIn, folderOf } from '../engine/repository/repository.ts'
import { spaceOf } from '../engine/space.ts'
import { addressesOf, loadConfig, platformConfig } from '../services/config.ts'

export function modelsList(): Command {
  return new Command('list')
    .description('Lists the models with their versions, labels and spaces, and which of them are here.')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet models list')
    .action(({ json }: { json?: true }) => {
      const { models } = addressesOf(loadConfig(platformConfig, { env: process.env }))
      const rows = rowsOf(models)
      if (json) return console.log(JSON.stringify(rows, null, 2))
      const wide = Math.max(...rows.map((row) => nameOf(row).length))
      for (const row of rows) {
        const { task, labels, served, bytes, space } = row
        const size = bytes === null ? 'not here' : `${(bytes / 2 ** 20).toFixed(1)} MiB`
        const words = [...labels, ...(served ? [] : ['not served'])].join(', ')
        console.log(`${nameOf(row).padEnd(wide)}  ${task.padEnd(6)}  ${size.padStart(9)}  ${space ?? ''}  ${words}`)
      }
    })
}

interface ModelRow extends Pick<Model, 'name' | 'version' | 'task' | 'quantisation' | 'maxTokens'> {
  readonly dimensions: number | null
  readonly space: string | null
  readonly labels: readonly string[]
  /** Whether the inference service keeps it loaded. */
  readonly served: boolean
  /** Of all its files; null where one is missing. */
  readonly bytes: number | null
}

function rowsOf(modelsDir: string): ModelRow[] {
  return declarationsIn(modelsDir).flatMap((declaration) =>
    versionsOf(declaration).map((version) => {
      const model = versionOfModel(declaration, version)
      const { name, task, quantisation, maxTokens } = model
      return {
        name,
        version,
        task,
        quantisation,
        maxTokens,
        dimensions: model.task === 'embed' ? model.dimensions : null,
        space: model.task === 'embed' ? spaceOf(model).id : null,
        labels: Object.entries(declaration.labels).flatMap(([label, of]) => (of === version ? [label] : [])),
        served: servedVersions(declaration).includes(version),
        bytes: bytesOf(folderOf(modelsDir, model), Object.keys(model.files)),
      }
    }),
  )
}

function bytesOf(folder: string, files: readonly string[]): number | null {
  const paths = files.map((file) => join(folder, file))
  return paths.every((path) => existsSync(path)) ? paths.reduce((sum, path) => sum + statSync(path).size, 0) : null
}
