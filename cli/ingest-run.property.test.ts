import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { type Client, FreshetError, type PublishItem } from '../client/client.ts'
import { fileOrigins, type SeenFiles } from '../connectors/files/file-origins.ts'
import { openLedger } from '../connectors/files/ledger.ts'
import { random } from '../test/random.ts'
import { ingestRun } from './ingest-run.ts'

const HISTORIES = Number(process.env.FRESHET_TEST_HISTORIES ?? 60)
const STEPS = 14
const columns = { id: 'id', text: ['text'], title: undefined, url: undefined, language: undefined, attributes: [] }

test('after any history of a folder, and of runs that are killed anywhere, the documents are those of the folder', async () => {
  const seen = { kills: 0, deletions: 0, inDoubt: 0, documents: 0, unread: 0 }
  const first = Number(process.env.FRESHET_TEST_SEED ?? Math.floor(Math.random() * 1e9))

  for (let seed = first; seed < first + HISTORIES; seed++) {
    const world = new World(seed, seen)
    try {
      for (let step = 0; step < STEPS; step++) await world.step()
      await world.run(null)

      assert.deepEqual(world.documents(), world.wanted(), `seed ${seed}`)
      // Nothing is left to do.
      const { indexed, deleted } = (await world.run(null))!
      const again = world.hasRepeatedLines ? 0 : indexed
      assert.deepEqual([again, deleted], [0, 0], `seed ${seed}: a second run published again`)
    } finally {
      world.remove()
    }
  }

  for (const [what, count] of Object.entries(seen)) assert.ok(count > 0, `no ${what}: the test says nothing`)
})

/** A folder that changes, a platform that is slow and uncertain, and runs between them. */
class World {
  readonly #dir: string
  readonly #folder: string
  readonly #chance: () => number
  readonly #index = new Map<string, string>()
  readonly #counts: Record<string, number>
  #watch: SeenFiles = new Map()
  #writes = 0
  /** By table: what its ids begin with. They go where it goes, so that no two tables have an id in common. */
  readonly #prefixes = new Map<string, string>()
  readonly #upTo = (count: number) => Math.floor(this.#chance() * count)

  constructor(seed: number, counts: Record<string, number>) {
    this.#counts = counts
    this.#chance = random(seed)
    this.#dir = mkdtempSync(join(tmpdir(), 'freshet-history-'))
    this.#folder = join(this.#dir, 'docs')
    mkdirSync(this.#folder)
  }

  async step(): Promise<void> {
    for (let i = this.#upTo(6); i >= 0; i--) this.#change()
    if (this.#chance() < 0.4) await this.run(this.#upTo(20))
    else if (this.#chance() < 0.5) await this.run(null)
  }

  /** Writes, moves or removes a file or folder. */
  #change(): void {
    const names = ['a.md', 'b.md', 'sub/c.md', 'sub/d.txt', 'e.csv', 'sub/f.csv', 'g.jsonl']
    const name = names[this.#upTo(names.length)]!
    const path = join(this.#folder, name)
    const dice = this.#chance()
    if (dice < 0.55) {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, this.#content(name))
    } else if (dice < 0.75) rmSync(path, { force: true })
    else if (dice < 0.95) {
      // Of the same kind: a table's rows keep their ids.
      const other = names.filter((each) => each.slice(-4) === name.slice(-4))[this.#upTo(2)] ?? name
      mkdirSync(dirname(join(this.#folder, other)), { recursive: true })
      if (other !== name && statSync(path, { throwIfNoEntry: false })) {
        renameSync(path, join(this.#folder, other))
        this.#prefixes.set(other, this.#prefixOf(name))
        this.#prefixes.delete(name)
      }
    } else rmSync(join(this.#folder, 'sub'), { recursive: true, force: true })
  }

  #prefixOf(name: string): string {
    const prefix = this.#prefixes.get(name) ?? `t${this.#writes++}`
    this.#prefixes.set(name, prefix)
    return prefix
  }

  #content(name: string): string {
    // Each of another length: times of files are coarse.
    const unique = `w${this.#writes++} ${'x'.repeat(this.#writes % 997)}`
    const rows = Array.from({ length: this.#upTo(12) + 1 }, () => this.#upTo(15))
    const prefix = this.#prefixOf(name)
    // Now and then as it was before.
    const text = this.#chance() < 0.3 ? `same ${this.#upTo(3)}` : unique
    if (name.endsWith('.csv'))
      return `id,text\n${[...new Set(rows)].map((row) => `${prefix}-${row},"${text} ${row % 3}"\n`).join('')}`
    if (name.endsWith('.jsonl'))
      return rows
        .map(
          (row, i) =>
            `${JSON.stringify(i % 5 === 4 ? { id: `j${row}`, delete: true } : { id: `j${row}`, text: `${text} ${i % 3}` })}\n`,
        )
        .join('')
    return text
  }

  /** One run; killed when the platform was asked so often, null: not. */
  async run(killAfter: number | null): Promise<{ indexed: number; deleted: number } | null> {
    const life = new AbortController()
    const dead = new Promise<null>((resolve) => life.signal.addEventListener('abort', () => resolve(null)))
    const client = this.#client(killAfter, life)
    const ledgerOf = (root: string) => {
      const ledger = openLedger(this.#dir, root)
      // The dead save nothing.
      return Object.assign(Object.create(Object.getPrototypeOf(ledger)), ledger, {
        save: () => (life.signal.aborted ? undefined : ledger.save()),
      }) as typeof ledger
    }
    // A watch goes on after a failed run with what it has seen; whoever is killed has seen nothing.
    const { origins } = await fileOrigins([this.#folder], ledgerOf, {
      columns,
      seen: this.#watch,
      now: () => Date.now() + 60_000,
    })
    const before = this.#watch.size
    const run = ingestRun(client, origins)
    run.catch(() => {})
    const summary = await Promise.race([run, dead])
    if (summary === null) {
      this.#counts.kills!++
      this.#watch = new Map()
      return null
    }
    this.#counts.unread! += before
    this.#counts.deletions! += summary.deleted
    if (summary.unconfirmed > 0) {
      this.#counts.inDoubt! += summary.unconfirmed
      return this.run(killAfter)
    }
    this.#counts.documents! += summary.indexed
    return summary
  }

  #client(killAfter: number | null, life: AbortController): Client {
    let asked = 0
    // Whoever hears nothing five times in a row gives up.
    const doubt = this.#chance() < 0.3 ? 0.7 : 0.03
    const never = new Promise<never>(() => {})
    const slowly = async () => {
      for (let i = this.#upTo(4); i > 0; i--) await turn()
    }
    const mayDie = async () => {
      if (killAfter !== null && asked++ >= killAfter) life.abort()
      if (life.signal.aborted) await never
    }
    return {
      publish: async (items: readonly PublishItem[]) => {
        await slowly()
        await mayDie()
        if (this.#chance() < doubt / 2) throw new FreshetError('unconfirmed', 'the connection broke before', true)
        for (const item of items) {
          if ('delete' in item) this.#index.delete(item.id)
          else this.#index.set(item.id, item.text)
        }
        await mayDie()
        if (this.#chance() < doubt) throw new FreshetError('unconfirmed', 'the connection broke behind', true)
        return { token: 't', documents: [], notices: [] }
      },
      wait: async () => {
        await slowly()
        await mayDie()
        return { documents: [], asOf: {} }
      },
    } as unknown as Client
  }

  readonly #found = () =>
    readdirSync(this.#folder, { recursive: true })
      .map(String)
      .filter((name) => statSync(join(this.#folder, name)).isFile())
      .sort()

  /** What the folder says, read by other code. */
  wanted(): Record<string, string> {
    const wanted = new Map<string, string>()
    for (const name of this.#found()) {
      const content = readFileSync(join(this.#folder, name), 'utf8')
      const lines = content.split('\n').filter((line) => line !== '')
      if (name.endsWith('.csv'))
        for (const line of lines.slice(1)) {
          const [, id, text] = /^([^,]*),"(.*)"$/.exec(line)!
          wanted.set(id!, text!.trim())
        }
      else if (name.endsWith('.jsonl'))
        for (const line of lines) {
          const { id, text } = JSON.parse(line) as { id: string; text?: string }
          if (text === undefined) wanted.delete(id)
          else wanted.set(id, text)
        }
      else wanted.set(`docs/${name}`, content)
    }
    return Object.fromEntries([...wanted].sort())
  }

  documents(): Record<string, string> {
    return Object.fromEntries([...this.#index].sort())
  }

  /** A file that says several things of one document says them again in each run. */
  get hasRepeatedLines(): boolean {
    return this.#found().some((name) => name.endsWith('.jsonl'))
  }

  remove(): void {
    rmSync(this.#dir, { recursive: true })
  }
}
