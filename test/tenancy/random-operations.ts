import { tokenOf } from '../../search/freshness.ts'
import { EVERY_GROUP, type Reader } from '../../search/visibility.ts'
import { type Principal, wholeTenant } from '../../services/principal.ts'
import type { Ledger } from './ledger.ts'

const TENANTS = 100
const GROUPS = ['board', 'hr', 'legal', 'research', 'sales']
const IDS = 6
const WORDS = ['heron', 'otter', 'reed', 'bittern', 'marsh', 'delta', 'flood', 'spring']

export const tenantNames: readonly string[] = Array.from({ length: TENANTS }, (_, i) => `t${i}`)

/** Messages of callers who mean no good, and of those who do, as they come over the wire. */
export class RandomOperations {
  readonly #next: () => number
  readonly #ledger: Ledger
  readonly #tokens: { readonly tenant: string; readonly token: string }[] = []
  readonly #vectors: (readonly number[])[] = []
  readonly #space: string
  readonly #partitions: number
  #count = 0

  constructor(next: () => number, ledger: Ledger, { space, partitions }: { space: string; partitions: number }) {
    this.#next = next
    this.#ledger = ledger
    this.#space = space
    this.#partitions = partitions
  }

  principal(): Principal {
    const groups = this.#next() < 0.15 ? [EVERY_GROUP] : GROUPS.filter(() => this.#next() < 0.25)
    const tenant = this.#one(tenantNames)
    return { ...wholeTenant(tenant, `key:${Math.floor(this.#next() * 3)}`), groups }
  }

  message(by: Reader): Record<string, unknown> {
    const id = String(++this.#count)
    const kind = this.#next()
    if (kind < 0.15) return { type: 'publish', id, documents: this.#documents(by), ack: 'accepted' }
    if (kind < 0.3) return { type: 'wait', id, after: this.#token(by), timeoutMs: 0 }
    return { type: 'search', id, ...this.#query(by), k: this.#one([1, 10, 100]), ...this.#more(by) }
  }

  /** What a foreign producer writes past our door: rejected there, for a reason that quotes it. */
  rejected(): { tenant: string; key: string; value: object } {
    const tenant = this.#one(tenantNames)
    const acl = this.acl()
    const attributes = { [this.#ledger.mark(tenant, acl)]: Number.NaN }
    return { tenant, key: this.#key(tenant), value: { ...plain, text: 'A number that is none.', attributes, acl } }
  }

  acl(): string[] | null {
    return this.#next() < 0.4 ? null : [this.#one(GROUPS), this.#one(GROUPS)]
  }

  /** What was answered to one caller may be sent by another. */
  found(tenant: string, token: string): void {
    this.#tokens.push({ tenant, token })
  }

  foundVector(vector: Float32Array): void {
    if (this.#vectors.length < 500) this.#vectors.push(Array.from(vector))
  }

  #documents({ tenant }: Reader): object[] {
    return Array.from({ length: 1 + Math.floor(this.#next() * 2) }, () => {
      const id = this.#next() < 0.1 ? this.#foreignId(tenant) : this.#one(idsOf(tenant))
      if (this.#next() < 0.2) return { id, delete: true }
      const acl = this.acl()
      const mark = this.#ledger.mark(tenant, acl === null ? null : [...acl])
      const url = `https://example.com/${mark}`
      return { id, text: `${this.#words(5)} ${mark}`, title: `Title ${mark}`, url, attributes: { mark, n: 1 }, acl }
    })
  }

  #query({ tenant }: Reader): object {
    const kind = this.#next()
    if (kind < 0.25)
      return { query: { like: this.#next() < 0.5 ? this.#key(tenant) : this.#foreignKey(tenant) }, mode: 'dense' }
    if (kind < 0.4 && this.#vectors.length > 0)
      return { query: { vector: this.#one(this.#vectors), space: this.#space }, mode: 'dense' }
    // Half of them ask for what a certain document says, whosever it is.
    const mark = `zq${Math.floor(this.#next() * this.#ledger.size)}qz`
    const query = this.#next() < 0.5 ? `${this.#words(2)} ${mark}` : this.#words(3)
    return { query, mode: this.#one(['hybrid', 'dense', 'keyword']) }
  }

  #more(by: Reader): object {
    const other = this.#one(tenantNames)
    return this.#one<object>([
      {},
      {},
      { groupBy: 'document' },
      { filter: { n: 1 } },
      { filter: { tenant: { not: other } } },
      { filter: { acl: { in: GROUPS } } },
      { freshness: { after: this.#token(by), onTimeout: 'stale', timeoutMs: 0 } },
    ])
  }

  /** Found, or made by hand. */
  #token({ tenant }: Reader): string {
    const kind = this.#next()
    const own = this.#tokens.filter((each) => each.tenant === tenant)
    if (kind < 0.4 && own.length > 0) return this.#one(own).token
    if (kind < 0.6 && this.#tokens.length > 0) return this.#one(this.#tokens).token
    const at = () => Math.floor(this.#next() * (this.#tokens.length / this.#partitions + 1))
    const partition = Math.floor(this.#next() * this.#partitions)
    if (kind < 0.75)
      return tokenOf({ epoch: 1, documents: { [partition]: Array.from({ length: 8 }, at).sort((a, b) => a - b) } })
    if (kind < 0.9) return tokenOf({ epoch: 1, documents: { [partition]: at() } })
    return this.#one([
      '',
      'bm9uZQ',
      tokenOf({ epoch: 2, documents: { 0: [0] } }),
      tokenOf({ epoch: 1, documents: { 99: 0 } }),
    ])
  }

  #foreignId(tenant: string): string {
    const other = this.#one(tenantNames)
    return this.#one([
      `../${this.#key(other)}`,
      this.#key(other),
      `/${this.#key(other)}`,
      `../${tenant}/x`,
      `${other}%2fx`,
    ])
  }

  #foreignKey(tenant: string): string {
    return this.#one([
      this.#key(this.#one(tenantNames)),
      `${tenant}/../${this.#key(this.#one(tenantNames))}`,
      this.#foreignId(tenant),
    ])
  }

  #key = (tenant: string): string => `${tenant}/${this.#one(idsOf(tenant))}`
  #words = (count: number): string => Array.from({ length: count }, () => this.#one(WORDS)).join(' ')
  #one = <T>(of: readonly T[]): T => of[Math.floor(this.#next() * of.length)]!
}

const idsOf = (tenant: string): string[] => Array.from({ length: IDS }, (_, i) => `${tenant}-${i}`)

const plain = { title: null, url: null, language: null, cleaning: 'c1' }
