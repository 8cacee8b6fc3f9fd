import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort, startProcess, type TestProcess } from './process.ts'
import { until } from './until.ts'

/** A PostgreSQL of the test's own, of the packages of this machine, with the log that Debezium reads; gone afterwards. */
export interface Postgres extends AsyncDisposable {
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  /** Rows of the last statement, a list of texts each; null is `\N`. Rejects with what PostgreSQL has against it. */
  sql(statements: string): Promise<string[][]>
  /** By SIGINT (what is open is broken off), and again on the same data. */
  restart(): Promise<void>
}

/** Null where this machine has none: `NO_POSTGRES` says what is missing. */
export function postgresPrograms(): string | null {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : []
  const folder = versions.map((version) => join(root, version, 'bin')).find((each) => existsSync(join(each, 'initdb')))
  return folder ?? null
}

export const NO_POSTGRES =
  'no PostgreSQL server on this machine: sudo apt-get install postgresql (its programs are looked for in /usr/lib/postgresql/VERSION/bin)'

export async function startPostgres(settings: readonly string[] = []): Promise<Postgres> {
  const programs = postgresPrograms()
  if (programs === null) throw new Error(NO_POSTGRES)
  const folder = mkdtempSync(join(tmpdir(), 'freshet-postgres-'))
  const data = join(folder, 'data')
  // It refuses to run as root; Debian's packages make a user for it.
  const asRoot = process.getuid?.() === 0
  const as = (program: string, args: readonly string[]): [string, string[]] =>
    asRoot ? ['runuser', ['-u', 'postgres', '--', program, ...args]] : [program, [...args]]
  if (asRoot) execFileSync('chown', ['postgres', folder])
  const [user, password, database] = ['postgres', 'canary-pg-password', 'postgres']
  execFileSync('sh', [
    '-c',
    `umask 077; printf %s ${password} > ${folder}/password; chown --reference=${folder} ${folder}/password`,
  ])
  const initdb = [
    '-D',
    data,
    '-U',
    user,
    '-A',
    'scram-sha-256',
    '--pwfile',
    join(folder, 'password'),
    '-E',
    'UTF8',
    '--no-sync',
  ]
  execFileSync(...as(join(programs, 'initdb'), initdb), { stdio: ['ignore', 'ignore', 'pipe'], cwd: folder })
  const port = await freePort()
  const options = [
    'wal_level=logical',
    'max_wal_senders=8',
    'max_replication_slots=8',
    'fsync=off',
    'shared_buffers=64MB',
  ]
  const args = ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', folder]
  const start = () =>
    startProcess(
      'postgres',
      ...as(join(programs, 'postgres'), [...args, ...[...options, ...settings].flatMap((each) => ['-c', each])]),
      {
        cwd: folder,
      },
    )
  const run = promisify(execFile)
  const sql = async (statements: string): Promise<string[][]> => {
    const psql = ['-X', '-q', '-A', '-t', '-F', SEPARATOR, '-P', 'null=\\N', '-v', 'ON_ERROR_STOP=1']
    const to = ['-h', '127.0.0.1', '-p', String(port), '-U', user, '-d', database, '-f', '-']
    const asked = run('psql', [...psql, ...to], {
      env: { ...process.env, PGPASSWORD: password },
      maxBuffer: 256 * 1024 * 1024,
    })
    asked.child.stdin!.end(statements)
    const { stdout } = await asked
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(SEPARATOR))
  }
  let server: TestProcess = start()
  const serves = () =>
    until(
      'PostgreSQL serves',
      () =>
        sql('select 1').then(
          () => true,
          (error: Error) => error.message,
        ),
      30_000,
      200,
    )
  await serves()
  const stop = async (): Promise<void> => {
    const pid = readPid(data)
    if (pid !== null) process.kill(pid, 'SIGINT')
    await server.ended
  }
  return {
    port,
    user,
    password,
    database,
    sql,
    async restart() {
      await stop()
      server = start()
      await serves()
    },
    async [Symbol.asyncDispose]() {
      if (server.runs()) await stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Unit separator: no text of the tests holds it. */
const SEPARATOR = '\x1f'

function readPid(data: string): number | null {
  try {
    return Number(execFileSync('head', ['-n', '1', join(data, 'postmaster.pid')], { encoding: 'utf8' }).trim())
  } catch {
    return null
  }
}
