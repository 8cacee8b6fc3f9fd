import { cleanDocument, type RawDocument } from '../processors/clean-text.ts'
import type { Document, InboxDocument } from '../schemas/records.ts'
import type { RejectClass } from '../streams/processor.ts'
import type { Meant, Sent } from './oracle/world.ts'

/** One record to be sent, and what its producer means by it. */
export interface LoadEvent {
  readonly door: Sent['door']
  readonly key: string
  readonly value: Buffer | null
  readonly meant: Meant
  /** It is written into a partition where its key does not belong. */
  readonly misplaced: boolean
}

interface LoadOptions {
  readonly next: () => number
  /** Share of what can never succeed. */
  readonly poison: number
  /** Share of what comes by `inbox`. */
  readonly inboxShare: number
  readonly keys: Readonly<Record<Sent['door'], readonly string[]>>
  readonly encode: { inbox(value: InboxDocument): Buffer; documents(value: Document): Buffer }
}

/** Of the records: 20 % deletes, 10 % documents made again, 5 % poison of every kind, 5 % the same text again and again, the rest of 1 to 60 sentences. */
export function loadEvents({ next, keys, poison, inboxShare, encode }: LoadOptions): (poison?: number) => LoadEvent {
  const gone: Record<Sent['door'], Set<string>> = { inbox: new Set(), documents: new Set() }
  let count = 0
  const one = <T>(of: readonly T[]): T => of[Math.floor(next() * of.length)]!
  const raw = (text: string): RawDocument => ({
    text,
    contentType: null,
    title: next() < 0.3 ? `Title ${count}` : null,
    url: next() < 0.2 ? `https://example.com/${count}` : null,
    language: null,
    attributes: { count, team: one(['support', 'sales']), public: next() < 0.5 },
  })
  const document = (door: Sent['door'], key: string, meant: RawDocument | Document): LoadEvent => ({
    door,
    key,
    value: door === 'inbox' ? encode.inbox(meant as InboxDocument) : encode.documents(meant as Document),
    meant: { kind: 'document', document: meant },
    misplaced: false,
  })

  return (poisonNow = poison) => {
    count++
    const door: Sent['door'] = next() < inboxShare ? 'inbox' : 'documents'
    const kind = next()
    const key = kind >= 0.2 && kind < 0.3 && gone[door].size > 0 ? one([...gone[door]]) : one(keys[door])
    if (kind < 0.2) {
      gone[door].add(key)
      return { door, key, value: null, meant: { kind: 'deletion' }, misplaced: false }
    }
    if (kind >= 1 - poisonNow) {
      const bad = one(poisons)({ door, key, count, encode, raw })
      if (bad.door === 'documents' && !bad.misplaced && bad.key === key) gone.documents.add(key)
      return bad
    }
    gone[door].delete(key)
    const made =
      kind >= 0.95 - poisonNow
        ? { ...raw(textOf('The same again', 3)), title: null, url: null, attributes: {} }
        : raw(textOf(`Revision ${count} of ${key}`, 1 + Math.floor(next() ** 3 * 60)))
    return document(door, key, door === 'inbox' ? made : cleanDocument(made))
  }
}

const textOf = (about: string, sentences: number): string =>
  Array.from({ length: sentences }, (_, i) => `${about}, sentence ${i}, of the load.`).join(' ')

interface Bad {
  readonly door: Sent['door']
  readonly key: string
  readonly count: number
  readonly encode: LoadOptions['encode']
  raw(text: string): RawDocument
}

/** Every kind of what can never succeed. Where the bytes can be read, our own F says that they cannot be served. */
const poisons: readonly ((bad: Bad) => LoadEvent)[] = [
  ({ door, key }) => undecodable(door, key, Buffer.from('not Avro')),
  (bad) => undecodable(bad.door, bad.key, encoded(bad, 'cut off in the midst of it').subarray(0, 14)),
  (bad) => undecodable(bad.door, bad.key, withSchemaId(encoded(bad, 'of a schema that nobody knows'), 987_654)),
  (bad) => undecodable(bad.door, bad.key, withBadText(encoded(bad, 'marker is here'))),
  (bad) => readable(bad, { ...bad.raw(' \u00a0\n\t ') }),
  (bad) => readable(bad, { ...bad.raw('A number that is none.'), attributes: { ratio: Number.NaN } }),
  (bad) => readable(bad, { ...bad.raw('A number without an end.'), attributes: { ratio: Number.POSITIVE_INFINITY } }),
  // A thousand chunks and more; rare, since it is as large as hundreds of others.
  (bad) =>
    bad.count % 8 === 0
      ? readable(bad, bad.raw('so many words '.repeat(90_000)))
      : undecodable(bad.door, bad.key, Buffer.alloc(0)),
  (bad) => ({ ...undecodable(bad.door, 'no tenant', encoded(bad, 'fine')), meant: { kind: 'poison', class: 'key' } }),
  (bad) => ({
    ...undecodable(bad.door, 'no tenant either', Buffer.from('not Avro')),
    meant: { kind: 'poison', class: 'key' },
  }),
  (bad) => ({ ...undecodable(bad.door, 'Acme Inc/a', encoded(bad, 'fine')), meant: { kind: 'poison', class: 'key' } }),
  (bad) => ({
    ...undecodable(
      'documents',
      bad.door === 'documents' ? bad.key : 'acme/misplaced',
      encoded({ ...bad, door: 'documents' }, 'misplaced'),
    ),
    meant: { kind: 'poison', class: 'partition' },
    misplaced: true,
  }),
]

/** Whoever works on it has to ask the registry. */
export const ofUnknownSchema = (key: string): LoadEvent =>
  undecodable('documents', key, withSchemaId(Buffer.from('\0id__of a schema that nobody knows'), 987_654))

function undecodable(door: Sent['door'], key: string, value: Buffer, rejected: RejectClass = 'schema'): LoadEvent {
  return { door, key, value, meant: { kind: 'poison', class: rejected }, misplaced: false }
}

/** As `documents` has it when a foreign producer writes there, who cleans nothing. */
function readable({ door, key, encode }: Bad, raw: RawDocument): LoadEvent {
  const { contentType: _, ...fields } = raw
  const document = door === 'inbox' ? raw : { ...fields, cleaning: '' }
  const value = door === 'inbox' ? encode.inbox(raw as InboxDocument) : encode.documents(document as Document)
  return {
    door,
    key,
    value,
    meant: { kind: 'document', document: document as RawDocument | Document },
    misplaced: false,
  }
}

const encoded = (bad: Bad, text: string): Buffer => readable(bad, { ...bad.raw(text), attributes: {} }).value!

/** The text's first bytes replaced by what is no UTF-8. */
function withBadText(value: Buffer): Buffer {
  const bytes = Buffer.from(value)
  Buffer.from([0xff, 0xfe, 0xc3, 0x28]).copy(bytes, bytes.indexOf('marker'))
  return bytes
}

function withSchemaId(value: Buffer, id: number): Buffer {
  const bytes = Buffer.from(value)
  bytes.writeUInt32BE(id, 1)
  return bytes
}
