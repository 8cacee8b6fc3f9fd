import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { applied, configured, stackConnect } from './connectors.ts'
import { openPlatform, type Platform, type PlatformOptions } from './platform.ts'
import { type Postgres, startPostgres } from './postgres.ts'
import { servedDocuments } from './served-documents.ts'
import { until } from './until.ts'

/** A table of a PostgreSQL of the test's own, whose rows are documents of the platform by way of Debezium and Connect. */
export interface PostgresLive extends AsyncDisposable {
  readonly platform: Platform
  readonly postgres: Postgres
  readonly connector: string
  /** Resolves when the index serves what the table holds, every row once; rejects with how they differ. */
  equal(msMax?: number): Promise<void>
}

/** By a trigger, so that the application writes what it always wrote. (A generated column is not in the log before PostgreSQL 18.) */
export const table = `
  create table notes (id bigint primary key, title text, text text not null, freshet_key text);
  alter table notes replica identity full;
  create function freshet_key() returns trigger language plpgsql as
    $$ begin new.freshet_key := 'acme/' || new.id; return new; end $$;
  create trigger freshet_key before insert or update on notes for each row execute function freshet_key();`

export async function openPostgresLive(options: PlatformOptions & { before?: string } = {}): Promise<PostgresLive> {
  const postgres = await startPostgres()
  await postgres.sql(table + (options.before ?? ''))
  const name = `pg-${randomBytes(4).toString('hex')}`
  const platform = await openPlatform({ ...options, env: { ...options.env, FRESHET_SOURCES: 'pg-documents' } })
  await Promise.all([platform.worker(), platform.query()])
  const folder = mkdtempSync(join(tmpdir(), 'freshet-secrets-'))
  const secrets = join(folder, 'secrets.properties')
  writeFileSync(secrets, `pg.password=${postgres.password}\n`, { mode: 0o600 })
  const source = `${platform.scope.prefix}pg-documents`
  const connector = configured('postgres-documents-source', name, {
    'database.port': String(postgres.port),
    'database.password': `\${file:${secrets}:pg.password}`,
    'topic.prefix': name,
    'slot.name': name.replace('-', '_'),
    'publication.name': name.replace('-', '_'),
    'transforms.route.regex': `${name}\\.public\\.notes`,
    'transforms.route.replacement': source,
    'value.converter.apicurio.registry.artifact.artifact-id': `${source}-rows`,
  })
  await applied(connector)
  return {
    platform,
    postgres,
    connector: name,
    equal: (msMax = 60_000) =>
      until(
        'the index serves what the table holds',
        async () => {
          const rows = (await postgres.sql("select freshet_key, coalesce(title, ''), text from notes")).map((row) =>
            row.join('\n'),
          )
          const served = await servedDocuments(platform)
          return differ(rows, served)
        },
        msMax,
        250,
      ),
    async [Symbol.asyncDispose]() {
      await stackConnect()
        .delete(name)
        .catch(() => {})
      await platform[Symbol.asyncDispose]()
      await postgres[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** true, or how the two differ: as multisets, so that a row that is served twice is a difference. */
export function differ(rows: readonly string[], served: readonly string[]): true | string {
  const [wanted, had] = [[...rows].sort(), [...served].sort()]
  if (wanted.length === had.length && wanted.every((row, i) => row === had[i])) return true
  const there = new Set(had)
  const missing = wanted.filter((row) => !there.has(row))
  return `${wanted.length} rows, ${had.length} served; ${JSON.stringify(missing[0] ?? had.find((row, i) => row !== wanted[i]))}`
}
