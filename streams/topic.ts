/** A topic, declared: what flows in it and how it is kept. Names are given in `schemas/topics.ts` and nowhere else. */
export interface Topic<V = unknown> {
  /** `<space>` stands for the embedding space. The running platform may put a prefix before all names. */
  readonly name: string
  /** One sentence for people. */
  readonly about: string
  /** Avro schema of the values. */
  readonly schema: AvroSchema
  /** The topic carries a watermark: progress records under the key `~/<partition>`, with this schema. */
  readonly lowSchema?: AvroSchema
  /** `shared`: as many as `documents` has, fixed for the life of the epoch, so that partition n of one feeds partition n of the next. */
  readonly partitions: 'shared' | number
  /** A record lies where the published partitioner says; elsewhere it is refused. */
  readonly keyed: boolean
  /** Kafka's own configuration names. */
  readonly config: Readonly<Record<string, string>>
  /** Somebody else's: keys and values reach the processor as bytes, whatever they are, and may be null. */
  readonly raw?: true
  /** Of two values under one key, whether the one that lies later in the log was said earlier, so that it does not count. Default: the later one counts. */
  isOlder?(value: V, than: V): boolean
  /** Only for the type checker. */
  readonly valueType?: V
}

export type AvroSchema = { readonly type: string; readonly name: string; readonly [field: string]: unknown }

/** What the names of this run are made of. */
export interface Scope {
  readonly prefix: string
  readonly space: string
}

export function topic<V>(declaration: Omit<Topic<V>, 'valueType'>): Topic<V> {
  return declaration
}

export function nameIn(scope: Scope, { name }: Topic): string {
  return scope.prefix + name.replace('<space>', scope.space)
}

/** Keys of progress records; `~` can be nobody's tenant. */
export const lowKey = (partition: number): string => `~/${partition}`
export const isLowKey = (key: Buffer | null): boolean => key !== null && key[0] === 0x7e && key[1] === 0x2f
