// Generated from the .avsc files by schemas/generate.ts; do not edit.

/** What somebody did with admin rights: value of `actions`. */
export interface Action {
  /** When, ms since 1970. */
  at: number
  /** Who: user@host for the command line, else tenant and subject of the principal, like acme key:k3wq7yh2m4ab. */
  by: string
  /** The command, like keys create. */
  what: string
  /** What it was done to. */
  subject: string
  /** One line more, without secrets. */
  detail: string
  /** Of the request that asked for it, as the gateway's access log has it; null: it came from the command line. */
  requestId: null | string
}

/** What is decided for the whole platform: value of `control`. The key is the subject: serving, spaces/<space>, collections/<name>, topic/<name>, dead-letter/<id>, keys/<id>, tenants/<tenant>, sources/<source>, or golden/<space>. */
export interface Control {
  /** Under the key serving: what query nodes read. */
  serving: null | Serving
  /** Under spaces/<space>: which model a space is of. */
  space: null | SpaceModel
  /** Under topic/<name>: which topic the offsets of this epoch count in. */
  topic: null | TopicIdentity
  /** Under dead-letter/<id>: what was decided about that dead letter. */
  deadLetter: null | DeadLetterDecision
  /** Under collections/<name>: what that collection is kept for. Which one serves is under serving alone. */
  collection: null | CollectionState
  /** Under keys/<id>: an API key. */
  apiKey: null | ApiKey
  /** Under tenants/<tenant>: what is admitted of it. A tenant without a record has the configured quotas. */
  tenant: null | TenantQuota
  /** Under sources/<source>: what is admitted of that topic. A source without a record has the configured quotas. */
  source: null | SourceQuota
  /** Under golden/<space>: the vectors of the golden texts. A service that gives others has another model. */
  golden: null | GoldenVectors
}

export interface Serving {
  /** The embedding space that answers. */
  space: string
  /** The collection that answers. */
  collection: string
  /** Since when, ms since 1970. */
  since: null | number
  /** Who is answered by another collection; null: nobody. */
  canary: null | Canary
}

export interface Canary {
  /** The embedding space that answers some. */
  space: string
  /** The collection that answers them. */
  collection: string
  /** So many of a hundred are answered by it, always the same ones. */
  percent: number
  /** tenant or subject: what is counted, and stays together. */
  by: string
  /** These are, whatever percent says. */
  tenants: string[]
  /** Since when, ms since 1970. */
  since: number
}

export interface SpaceModel {
  /** Name of the model that makes its vectors. */
  model: string
  /** Of the model, in the repository of models. */
  version: string
  /** Numbers in a vector. */
  dimensions: number
  /** Since when it is known here, ms since 1970; the first is the space that the platform began with. */
  since: number
}

export interface TopicIdentity {
  /** Kafka's topic id. */
  id: string
  /** Counts the identities that this name has had. */
  epoch: number
}

export interface DeadLetterDecision {
  /** discarded, replayed or erased. */
  state: string
  /** When, ms since 1970. */
  at: number
  /** Who: user@host. */
  by: string
  /** Why it was discarded or erased; what became of the replay. */
  why: string
  /** The end of `dead-letters` then: what lies there or later came after it. */
  through: number
}

export interface CollectionState {
  /** The embedding space that it holds. */
  space: string
  /** filling, verifying, verified: on its way to serve; following: served, or serves; retiring: is being removed; removed: its name is not used again. */
  state: 'filling' | 'verifying' | 'verified' | 'following' | 'retiring' | 'removed'
  /** Since when it is in this state, ms since 1970. */
  since: number
  /** The collection that it does not overtake, so that who goes from this one to that one sees nothing go back. */
  behind: null | string
  /** The token up to which it was found equal to `documents`. */
  asOf: null | string
}

export interface ApiKey {
  /** Of the secret, in hexadecimal; the secret itself is nowhere. */
  sha256: string
  /** For people. */
  name: string
  /** All that the key reads and writes belongs to it. */
  tenant: string
  /** search, ask, publish, subscribe, infer, admin. */
  scopes: string[]
  /** Sees documents whose acl names one of these; * sees all of the tenant. */
  groups: string[]
  /** When, ms since 1970. */
  createdAt: number
  /** Who created it: user@host, or the principal. */
  by: string
  /** Not good from then on, ms since 1970. */
  expiresAt: null | number
  /** Not good since then, ms since 1970. */
  revokedAt: null | number
  /** Its own limit; null: the configured one. */
  requestsPerSecond: null | number
  /** As above, of texts that are embedded. */
  embeddedTokensPerMinute: null | number
  /** As above, of answers. */
  generatedTokensPerMinute: null | number
}

export interface TenantQuota {
  /** Admitted before `documents`; null: the configured quota. */
  documentsPerSecond: null | number
  /** As above, bytes of keys and texts. */
  bytesPerSecond: null | number
  /** As above, one for four bytes of text. */
  embeddedTokensPerMinute: null | number
  /** The tenant was erased then, ms since 1970; nothing is admitted. */
  erasedAt: null | number
}

export interface SourceQuota {
  /** Admitted by ingest of all partitions of the source together; null: the configured quota. */
  documentsPerSecond: null | number
  /** As above, bytes of keys and values. */
  bytesPerSecond: null | number
  /** As above, one for four bytes of the value. */
  embeddedTokensPerMinute: null | number
  /** Admitted only while the index is no further behind `documents` than the configured bound. */
  bulk: boolean
}

export interface GoldenVectors {
  /** sha256 of the vectors, hex. */
  fingerprint: string
  /** One after the other, little-endian f32. */
  vectors: Buffer
  /** When the space was first used with a service elsewhere, ms since 1970. */
  at: number
}

/** A record that can never succeed, untouched: value of `dead-letters`, under the record's key where that is text. Its identity is (stage, topicId, partition, offset). */
export interface DeadLetter {
  /** The processor that refused it. */
  stage: string
  /** key, partition, schema, content, size or crash. */
  class: string
  /** What is wrong: the field, the value and the fix. */
  reason: string
  /** Where it lies. */
  topic: string
  /** Kafka's id of that topic. */
  topicId: string
  /** Its partition. */
  partition: number
  /** Its offset. */
  offset: number
  /** Its timestamp, ms since 1970. */
  timestamp: number
  /** Its key, byte for byte. */
  key: null | Buffer
  /** Its value, byte for byte. */
  value: null | Buffer
  /** Its headers. */
  headers: Record<string, Buffer>
}

/** All chunks of one revision of a document in one embedding space: value of `vectors.<space>`. Null deletes the document; its headers say which revision did. Headers: position, low, the epoch that both count in, and reason where the revision was rejected. */
export interface DocumentVectors {
  /** The embedding space; a record of another space is refused. */
  space: string
  /** Epoch of `documents` that the offset counts in. */
  epoch: number
  /** Offset of the revision in `documents`. */
  offset: number
  /** 0 the first time; higher when the same revision was derived again. */
  derivation: number
  /** As in Document. */
  title: null | string
  /** As in Document. */
  url: null | string
  /** As in Document. */
  language: null | string
  /** As in Document. */
  attributes: Record<string, string | number | boolean | string[]>
  /** As in Document. */
  acl: null | string[]
  /** Version of F (cleaning, splitting, embedding) that derived the chunks. */
  pipeline: string
  /** sha256, hex, of everything that the index holds of the document but ids and fence. */
  contentHash: string
  /** At most 1,000, by ordinal. */
  chunks: VectorChunk[]
}

export interface VectorChunk {
  /** First UTF-16 unit of the chunk in the document's text. */
  start: number
  /** The unit after its last. */
  end: number
  /** The chunk's text. */
  text: string
  /** sha256 of the text that was embedded, hex; vectors are reused by it. */
  hash: string
  /** Dense vector: float32, little endian, normalised. */
  vector: Buffer
  /** Keyword terms: uint32, little endian, ascending. */
  termIndices: Buffer
  /** The weight of each term: float32, little endian. */
  termValues: Buffer
}

/** A clean document: value of `documents`, the source of truth. The key is tenant/id; a null value deletes the document. */
export interface Document {
  /** One line for people. */
  title: null | string
  /** Clean text, Unicode NFC; headings are lines that begin with #. */
  text: string
  /** Where a person can read the original. */
  url: null | string
  /** BCP 47 tag; chooses the keyword analyser. Null means English. */
  language: null | string
  /** What searches may filter by. */
  attributes: Record<string, string | number | boolean | string[]>
  /** Groups whose members are shown it, at least one; null: everyone of the tenant. */
  acl: null | string[]
  /** Version of the code and configuration that cleaned the text. */
  cleaning: string
}

/** A document as its producer has it: value of `inbox`. The key is tenant/id, in any partition; a null value deletes the document. */
export interface InboxDocument {
  /** The text, not cleaned. */
  text: string
  /** text/plain (if null), text/markdown or text/html. */
  contentType: null | string
  /** One line for people; if null, taken from the text where its content type has titles. */
  title: null | string
  /** Where a person can read the original. */
  url: null | string
  /** BCP 47 tag; null means English. */
  language: null | string
  /** What searches may filter by. */
  attributes: Record<string, string | number | boolean | string[]>
  /** Groups whose members are shown it, at least one; null: everyone of the tenant. */
  acl: null | string[]
}

/** How far ingest has come in one partition of a source: value of `ingest-positions`, written in the transaction of what it led to. The key is source topic id/partition. */
export interface IngestPosition {
  /** Name of the source topic. */
  topic: string
  /** Its partition. */
  partition: number
  /** The first offset that is not ingested yet. */
  next: number
  /** When, ms since 1970. */
  at: number
}

/** A progress record inside a topic, under the key ~/<partition>: carries the watermark on when there is nothing else to send. */
export interface Low {
  /** Every record of the source partition up to this offset, inclusive, has been handled and what it led to is acknowledged. -1 before the first. */
  low: number
  /** When this was known, ms since 1970. */
  at: number
}

/** How far a collection follows one partition of `documents`: value of `progress`. The key is collection/partition. */
export interface Progress {
  /** The collection. */
  collection: string
  /** The partition, of `documents` and of `vectors.<space>` alike. */
  partition: number
  /** Epoch of `documents`. */
  epoch: number
  /** Every position up to this, inclusive, is in the index. -1 before the first. */
  low: number
  /** Every offset of `vectors.<space>` up to this, inclusive, is applied. -1 before the first. */
  applied: number
  /** When, ms since 1970. */
  at: number
  /** following, or the named state that holds the watermark back. */
  state: string
  /** Every offset of `vectors.<space>` up to this, inclusive, has its receipt, from this collection or one that served before it. null: up to `applied`. */
  receipts: null | number
  /** The collection that it does not overtake. */
  behind: null | string
  /** Records that a collection which does not serve could not apply; some may be counted twice. */
  rejected: null | number
  /** When the marker that this says was written, ms since 1970, and later than every one before it: a record that comes after one of a later marker does not count. 0: not known. */
  written: number
}

/** What became of one record, and the document's present state in the index: value of `indexed`, under the document's key. */
export interface Receipt {
  /** The collection it is about. */
  collection: string
  /** Epoch of the record's position. */
  epoch: number
  /** Partition in `documents`. */
  partition: number
  /** Offset in `documents` of the record that this answers. */
  offset: number
  /** Which derivation of it. */
  derivation: number
  /** What this record led to. */
  outcome: 'indexed' | 'deleted' | 'unchanged' | 'superseded' | 'rejected'
  /** Why it was rejected. */
  reason: null | string
  /** Offset of the revision that the index holds now. */
  presentOffset: number
  /** And its derivation. */
  presentDerivation: number
  /** Whether the document is absent now. */
  presentDeleted: boolean
  /** Chunks served for the document now. */
  chunks: number
  /** Offset in `vectors.<space>` of the record that led here. */
  vectorsOffset: number
  /** ms since 1970: appended (to documents), received and embedded (by embed), written (to vectors), applied (searchable). */
  timings: Record<string, number>
}

/** Derive a revision again, whole: value of `redo`. */
export interface Redo {
  /** Epoch of the revision. */
  epoch: number
  /** Offset of the revision in `documents`. */
  offset: number
  /** One above the derivation that the manifest has. */
  derivation: number
  /** repair, replay or renew, and for whom. */
  why: string
  /** The value of the record in `documents`, byte for byte; null where it deletes. */
  document: null | Buffer
}

