import type { SubscribeMessage } from '../../services/query/protocol.ts'
import { clientMessage } from '../../services/query/protocol.ts'

const WORDS = [
  'heron',
  'otter',
  'reed',
  'bittern',
  'marsh',
  'delta',
  'flood',
  'spring',
  'weir',
  'sluice',
  'mill',
  'ford',
]
const GROUPS = ['board', 'hr']
const IDS = 120

/** Documents that come, change and go, and standing queries of every kind, from a seed. */
export class RandomChanges {
  readonly #next: () => number
  #count = 0

  constructor(next: () => number) {
    this.#next = next
  }

  /** For a message to publish: mostly one document, sometimes several. */
  documents(): object[] {
    return Array.from({ length: this.#next() < 0.9 ? 1 : 3 }, () => {
      const id = `d${this.#below(IDS)}`
      if (this.#next() < 0.2) return { id, delete: true }
      const text = Array.from({ length: 1 + this.#below(3) }, () => `${this.#words(4)}.`).join('\n\n')
      const acl = this.#next() < 0.2 ? [this.#one(GROUPS)] : null
      return { id, text, attributes: { n: this.#below(4), kind: this.#one(['a', 'b']) }, acl }
    })
  }

  subscription(): SubscribeMessage {
    const mode = this.#one(['hybrid', 'dense', 'keyword'] as const)
    const query = mode !== 'keyword' && this.#next() < 0.15 ? { like: `acme/d${this.#below(IDS)}` } : this.#words(2)
    const message = {
      type: 'subscribe',
      id: String(++this.#count),
      query,
      mode: typeof query === 'string' ? mode : 'dense',
      k: this.#one([1, 3, 10, 40]),
      filter: this.#one([{}, {}, { n: 1 }, { n: { gte: 2 } }, { kind: { not: 'a' } }]),
      ...this.#one([{}, {}, { groupBy: 'document' }, { perDocument: 2 }]),
      ...(this.#next() < 0.3 && { scoreMin: mode === 'hybrid' && typeof query === 'string' ? 0.02 : 0.2 }),
      ...(this.#next() < 0.2 && { weights: { dense: 1, keyword: 3 } }),
      minIntervalMs: this.#one([0, 100, 1_000]),
    }
    return clientMessage.parse(message) as SubscribeMessage
  }

  groups(): string[] {
    return this.#one([['*'], ['hr'], []])
  }

  #words(count: number): string {
    return Array.from({ length: count }, () => this.#one(WORDS)).join(' ')
  }

  #below(bound: number): number {
    return Math.floor(this.#next() * bound)
  }

  #one<T>(values: readonly T[]): T {
    return values[this.#below(values.length)]!
  }
}
