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
const documentTable = `
  create table notes (id bigint primary key, title text, text text not null, freshet_key text);
  alter table notes replica identity full;
  create function freshet_key() returns trigger language plpgsql as
    $$ begin new.freshet_key := 'acme/' || new.id; return new; end $$;
  create trigger freshet_key before insert or update on notes for each row execute function freshet_key();`

/** As docs/connect.md has it. */
const mapping = `topic: pg.public.notes
tenant: acme
value: avro
rows: flattened
id: "{id}"
title: "{title}"
text: "{text}"
`

/** `by`: the table as it is, with a mapping, or a table of documents, without one. `before`: statements before it is connected. */
export async function openPostgresLive({
  by = 'mapping',
  before = '',
  ...options
}: PlatformOptions & { by?: 'mapping' | 'documents'; before?: string } = {}): Promise<PostgresLive> {
  const postgres = await startPostgres()
  const plainTable = 'create table notes (id bigint primary key, title text, text text not null);'
  await postgres.sql((by === 'mapping' ? plainTable : documentTable) + before)
  const folder = mkdtempSync(join(tmpdir(), 'freshet-connect-'))
  writeFileSync(join(folder, 'notes.yaml'), mapping)
  const name = `pg-${randomBytes(4).toString('hex')}`
  const platform = await openPlatform({
    ...options,
    env: {
      ...options.env,
      ...(by === 'mapping' ? { FRESHET_MAPPINGS: join(folder, 'notes.yaml') } : { FRESHET_SOURCES: 'pg-documents' }),
    },
  })
  await Promise.all([platform.worker(), platform.query()])
  const secrets = join(folder, 'secrets.properties')
  writeFileSync(secrets, `pg.password=${postgres.password}\n`, { mode: 0o600 })
  const { prefix } = platform.scope
  const shared = {
    'database.port': String(postgres.port),
    'database.password': `\${file:${secrets}:pg.password}`,
    'slot.name': name.replace('-', '_'),
    'publication.name': name.replace('-', '_'),
  }
  const connector =
    by === 'mapping'
      ? configured('postgres-source', name, { ...shared, 'topic.prefix': `${prefix}pg` })
      : configured('postgres-documents-source', name, {
          ...shared,
          'topic.prefix': name,
          'transforms.route.regex': `${name}\\.public\\.notes`,
          'transforms.route.replacement': `${prefix}pg-documents`,
          'value.converter.apicurio.registry.artifact.artifact-id': `${prefix}pg-documents-rows`,
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
          const rows = (await postgres.sql("select 'acme/' || id, coalesce(title, ''), text from notes")).map((row) =>
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
