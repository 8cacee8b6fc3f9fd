import type { FrameOptions } from './raw-socket.ts'

/** Messages of the protocol, spoilt at random: fields, texts, bytes and frames. The same for the same numbers. */
export class Mutations {
  readonly #next: () => number
  readonly #messages: readonly object[]

  constructor(next: () => number, messages: readonly object[]) {
    this.#next = next
    this.#messages = messages
  }

  /** What is written next: one frame, or a message in several. */
  frames(): (readonly [Buffer, FrameOptions])[] {
    const { [this.#below(kinds.length)]: kind = 'message' } = kinds
    switch (kind) {
      case 'message':
        return [[Buffer.from(JSON.stringify(this.#one(this.#messages))), {}]]
      case 'spoilt':
        return [[Buffer.from(this.#text(this.#spoilt())), {}]]
      case 'json':
        return [[Buffer.from(this.#text(this.#value(6))), {}]]
      case 'bytes':
        return [[this.#spoiltBytes(Buffer.from(JSON.stringify(this.#one(this.#messages)))), {}]]
      case 'control':
        return [[this.#bytes(this.#below(126)), { opcode: this.#one([9, 10]) }]]
      case 'fragments':
        return this.#fragments(Buffer.from(this.#text(this.#spoilt())))
      case 'odd':
        return [
          [
            this.#bytes(this.#below(200)),
            {
              opcode: this.#below(16),
              isLast: this.#next() < 0.5,
              isMasked: this.#next() < 0.9,
              reserved: this.#below(8),
            },
          ],
        ]
    }
  }

  /** A message of which one to three values, anywhere, are others. */
  #spoilt(): unknown {
    const message = structuredClone(this.#one(this.#messages)) as Record<string, unknown>
    for (let times = 1 + this.#below(3); times > 0; times--) {
      let within: Record<string, unknown> = message
      for (;;) {
        const names = Object.keys(within)
        const name = this.#next() < 0.2 || names.length === 0 ? this.#one(NAMES) : this.#one(names)
        const inner = Object.hasOwn(within, name) ? within[name] : undefined
        if (typeof inner === 'object' && inner !== null && this.#next() < 0.6) {
          within = inner as Record<string, unknown>
          continue
        }
        if (this.#next() < 0.1) delete within[name]
        // What JSON calls __proto__ is a field like any other.
        else
          Object.defineProperty(within, name, {
            value: this.#value(4),
            enumerable: true,
            configurable: true,
            writable: true,
          })
        break
      }
    }
    return message
  }

  #value(depth: number): unknown {
    if (depth === 0 || this.#next() < 0.6)
      return this.#next() < 0.05 ? nested(this.#below(3_000)) : structuredClone(this.#one(VALUES))
    const items = Array.from({ length: this.#below(4) }, () => this.#value(depth - 1))
    if (this.#next() < 0.5) return items
    return Object.fromEntries(items.map((each) => [this.#one(NAMES), each]))
  }

  /** With numbers now and then that JSON can say and no program can count. */
  #text(value: unknown): string {
    const text = JSON.stringify(value) ?? 'null'
    return this.#next() < 0.1
      ? text.replace(/\d+/, this.#one(['1e999', '-1e999', '9'.repeat(400), '1e-999', '-0']))
      : text
  }

  #spoiltBytes(bytes: Buffer): Buffer {
    const spoilt = Buffer.from(bytes)
    for (let times = 1 + this.#below(4); times > 0; times--) spoilt[this.#below(spoilt.length)] = this.#below(256)
    return this.#next() < 0.3 ? spoilt.subarray(0, this.#below(spoilt.length)) : spoilt
  }

  #fragments(bytes: Buffer): (readonly [Buffer, FrameOptions])[] {
    const count = 1 + this.#below(6)
    const size = Math.ceil(bytes.length / count)
    const parts = Array.from({ length: count }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
    return parts.flatMap((part, i): (readonly [Buffer, FrameOptions])[] => [
      ...(this.#next() < 0.2 ? [[this.#bytes(4), { opcode: 9 }] as const] : []),
      [part, { opcode: i === 0 ? 1 : 0, isLast: i === count - 1 }],
    ])
  }

  #bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.#below(256)))
  }

  #below(count: number): number {
    return Math.floor(this.#next() * count)
  }

  #one<T>(of: readonly T[]): T {
    return of[this.#below(of.length)]!
  }
}

/** What leaves the connection open is more likely, so that what follows is read. */
const kinds = [
  ...Array<'spoilt'>(10).fill('spoilt'),
  ...Array<'message'>(4).fill('message'),
  ...Array<'json'>(3).fill('json'),
  ...Array<'fragments'>(2).fill('fragments'),
  ...Array<'control'>(2).fill('control'),
  'bytes',
  'odd',
] as const

const nested = (depth: number): unknown => {
  let value: unknown = 1
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { $not: value }
  return value
}

const NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'then',
  'id',
  'type',
  'query',
  'filter',
  '$and',
  '$or',
  '$not',
  'in',
  'gte',
  'exists',
  'like',
  'vector',
  'space',
  'resume',
  'epoch',
  'seq',
  'freshness',
  'after',
  'token',
  'documents',
  'attributes',
  'acl',
  'delete',
  '',
  'a\u0000b',
  '\ud800',
]
const VALUES = [
  null,
  true,
  false,
  0,
  -0,
  1,
  -1,
  0.5,
  1e308,
  -1e308,
  5e-324,
  Number.MAX_SAFE_INTEGER,
  2 ** 31,
  2 ** 53,
  2 ** 64,
  '',
  'a',
  '__proto__',
  'constructor',
  'any',
  'document',
  'search',
  'subscribe',
  'publish',
  'cancel',
  '2026-11-24T08:00:00Z',
  '2026-99-99T99:99:99Z',
  'e30',
  'eyJlcG9jaCI6MSwiZG9jdW1lbnRzIjp7IjAiOjF9fQ',
  'eyJlcG9jaCI6MX0',
  '\u0000',
  '\ud800',
  '\udfff\ud800',
  '\u202e\u2028',
  'x'.repeat(9_000),
  'default/returns',
  '../../etc/passwd',
  [],
  {},
  [[]],
  [null],
]
