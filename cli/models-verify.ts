import { Command } from 'commander'
import { loadModel } from '../engine/loaded-model.ts'
import { type Model, versionOfModel, versionsOf } from '../engine/repository/declaration.ts'
import { nameOf, verifyFiles } from '../engine/repository/model-files.ts'
import { referenceOf, versionMeant } from '../engine/repository/reference.ts'
import { declarationIn, declaredIn, folderOf } from '../engine/repository/repository.ts'
import { addressesOf, loadConfig, platformConfig } from '../services/config.ts'
import { reasonOf } from '../streams/errors.ts'

export function modelsVerify(): Command {
  return new Command('verify')
    .description('Compares the files of models with their hashes, loads them, and compares their golden vectors.')
    .argument('[model]', 'NAME, NAME@VERSION or NAME:LABEL; default: every version that is declared in the folder')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet models verify all-minilm-l6-v2-q@1')
    .action(async (reference: string | undefined, { json }: { json?: true }) => {
      const { models } = addressesOf(loadConfig(platformConfig, { env: process.env }))
      const wanted =
        reference === undefined ? declaredIn(models).flatMap((name) => all(models, name)) : [one(models, reference)]
      if (wanted.length === 0) throw new Error(`no model is declared in ${models}; freshet models add NAME adds one`)
      const findings: { model: string; fault: string | null }[] = []
      for (const model of wanted) {
        const fault = await faultOf(models, model)
        findings.push({ model: nameOf(model), fault })
        if (!json) console.log(fault === null ? `✓ ${nameOf(model)}` : `✗ ${nameOf(model)}\n  ${fault}`)
      }
      if (json) console.log(JSON.stringify(findings, null, 2))
      if (findings.some(({ fault }) => fault !== null)) process.exitCode = 1
    })
}

function all(modelsDir: string, name: string): Model[] {
  const declaration = declarationIn(modelsDir, name)
  return versionsOf(declaration).map((version) => versionOfModel(declaration, version))
}

/** Without a version and a label every version is a candidate, and the one that is served is meant. */
function one(modelsDir: string, text: string): Model {
  const reference = referenceOf(text)
  const declaration = declarationIn(modelsDir, reference.name)
  return versionOfModel(declaration, versionMeant(declaration, reference))
}

async function faultOf(modelsDir: string, model: Model): Promise<string | null> {
  const folder = folderOf(modelsDir, model)
  try {
    if (model.task === 'rerank') await verifyFiles(folder, model)
    else await (await loadModel(model, { folder, workers: 1, log: { info() {}, warn() {} } })).close()
    return null
  } catch (error) {
    return reasonOf(error)
  }
}
