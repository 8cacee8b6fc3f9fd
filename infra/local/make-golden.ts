import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeGolden } from '../../engine/loaded-model.ts'
import { catalogue, goldenPath } from '../../engine/repository/catalogue.ts'
import { type EmbeddingModel, versionOfModel } from '../../engine/repository/declaration.ts'
import { runDownload } from './download.ts'
import { unpackModel } from './maven-model.ts'

/** Writes the golden vectors of the catalogue's models, from their jars, and prints the hash for `catalogue.ts`: `node infra/local/make-golden.ts NAME…`. */
for (const name of process.argv.slice(2)) {
  const declaration = catalogue.find((each) => each.name === name)
  if (declaration === undefined) throw new Error(`no model ${name}`)
  const model = versionOfModel(declaration, 1) as EmbeddingModel
  const home = mkdtempSync(join(tmpdir(), 'freshet-golden-'))
  const folder = join(home, 'model')
  mkdirSync(folder)
  const options = { cwd: folder, log: join(home, 'maven.log'), signal: AbortSignal.timeout(300_000), downloaded() {} }
  await unpackModel(model, folder, (file, args) => runDownload(file, args, options))
  const golden = await makeGolden(model, { folder, log: { info() {}, warn: console.warn } })
  const json = `${JSON.stringify(golden, null, 2)}\n`
  writeFileSync(goldenPath(name), json)
  rmSync(home, { recursive: true })
  console.log(name, createHash('sha256').update(json).digest('hex'))
}
