import { renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Model } from '../../engine/repository/declaration.ts'

export type Download = (file: string, args: readonly string[]) => Promise<void>

/** Puts the files of a version that comes from a jar into an empty folder, by Maven, from whatever repository it is set up with. */
export async function unpackModel({ source, files }: Model, folder: string, download: Download): Promise<void> {
  if (source.kind !== 'maven') throw new Error(`the files come from a ${source.kind}, not from Maven`)
  const { group, artifact, version } = source
  const entries = Object.values(files).map(({ from }) => from)
  await download('mvn', [
    '-B',
    'org.apache.maven.plugins:maven-dependency-plugin:3.9.0:unpack',
    `-Dartifact=${group}:${artifact}:${version}`,
    `-DoutputDirectory=${folder}`,
    `-Dmdep.unpack.includes=${entries.join(',')}`,
  ])
  for (const [file, { from }] of Object.entries(files)) renameSync(join(folder, from), join(folder, file))
  // Without a pom, Maven's plugin leaves its own notes in a folder of this very name.
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the folder's name.
  rmSync(join(folder, '${project.basedir}'), { recursive: true, force: true })
}
