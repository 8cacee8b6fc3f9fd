/** Requests for the tests of a Qdrant: values in, messages of its gRPC client out. */
import { Distance, Modifier, QdrantClient } from '@qdrant/js-client-grpc'

export type Scalar = string | number | bigint | boolean | null
export type Content = Scalar | readonly Content[] | { readonly [name: string]: Content }

/** A number is a double unless it is a bigint: only the caller knows which it means. */
export function value(content: Content): Value {
  if (content === null) return { kind: { case: 'nullValue', value: 0 } }
  if (typeof content === 'string') return { kind: { case: 'stringValue', value: content } }
  if (typeof content === 'bigint') return { kind: { case: 'integerValue', value: content } }
  if (typeof content === 'number') return { kind: { case: 'doubleValue', value: content } }
  if (typeof content === 'boolean') return { kind: { case: 'boolValue', value: content } }
  if (Array.isArray(content)) return { kind: { case: 'listValue', value: { values: content.map(value) } } }
  return { kind: { case: 'structValue', value: { fields: payload(content as Record<string, Content>) } } }
}

export interface Value {
  kind:
    | { case: 'nullValue'; value: 0 }
    | { case: 'stringValue'; value: string }
    | { case: 'integerValue'; value: bigint }
    | { case: 'doubleValue'; value: number }
    | { case: 'boolValue'; value: boolean }
    | { case: 'listValue'; value: { values: Value[] } }
    | { case: 'structValue'; value: { fields: Record<string, Value> } }
}

export function payload(content: Readonly<Record<string, Content>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(content).map(([name, held]) => [name, value(held)]))
}

interface ReadValue {
  readonly kind: { readonly case?: string | undefined; readonly value?: unknown }
}

export function content({ kind }: ReadValue): Content {
  if (kind.case === 'structValue') return contents((kind.value as { fields: Record<string, ReadValue> }).fields)
  if (kind.case === 'listValue') return (kind.value as { values: ReadValue[] }).values.map(content)
  if (kind.case === 'nullValue' || kind.case === undefined) return null
  return kind.value as Scalar
}

export function contents(fields: Readonly<Record<string, ReadValue>>): Record<string, Content> {
  return Object.fromEntries(Object.entries(fields).map(([name, held]) => [name, content(held)]))
}

export const id = (number: number) => ({ pointIdOptions: { case: 'num' as const, value: BigInt(number) } })

export const ids = (...numbers: number[]) => ({
  pointsSelectorOneOf: { case: 'points' as const, value: { ids: numbers.map(id) } },
})

export interface Vectors {
  readonly dense?: readonly number[]
  readonly terms?: ReadonlyMap<number, number> | readonly (readonly [number, number])[]
}

export function point(number: number, { dense, terms }: Vectors, fields: Readonly<Record<string, Content>> = {}) {
  const vectors = {
    ...(dense && { dense: { vector: { case: 'dense' as const, value: { data: [...dense] } } } }),
    ...(terms && { terms: { vector: { case: 'sparse' as const, value: sparse(terms) } } }),
  }
  return {
    id: id(number),
    vectors: { vectorsOptions: { case: 'vectors' as const, value: { vectors } } },
    payload: payload(fields),
  }
}

function sparse(terms: NonNullable<Vectors['terms']>) {
  const entries = [...terms]
  return { indices: entries.map(([index]) => index), values: entries.map(([, weight]) => weight) }
}

export const nearest = (data: readonly number[]) => ({
  variant: {
    case: 'nearest' as const,
    value: { variant: { case: 'dense' as const, value: { data: [...data] } } },
  },
})

export const nearestTerms = (terms: NonNullable<Vectors['terms']>) => ({
  variant: { case: 'nearest' as const, value: { variant: { case: 'sparse' as const, value: sparse(terms) } } },
})

type MatchValue =
  | { case: 'keyword'; value: string }
  | { case: 'integer'; value: bigint }
  | { case: 'boolean'; value: boolean }
  | { case: 'keywords'; value: { strings: string[] } }

/** The condition that a field is this value, or one of these. */
export function is(key: string, wanted: string | bigint | boolean | string[]) {
  const matchValue: MatchValue =
    typeof wanted === 'string'
      ? { case: 'keyword', value: wanted }
      : typeof wanted === 'bigint'
        ? { case: 'integer', value: wanted }
        : typeof wanted === 'boolean'
          ? { case: 'boolean', value: wanted }
          : { case: 'keywords', value: { strings: wanted } }
  return { conditionOneOf: { case: 'field' as const, value: { key, match: { matchValue } } } }
}

export const within = (key: string, range: { gt?: number; gte?: number; lt?: number; lte?: number }) => ({
  conditionOneOf: { case: 'field' as const, value: { key, range } },
})

export const isEmpty = (key: string) => ({ conditionOneOf: { case: 'isEmpty' as const, value: { key } } })

export const hasId = (...numbers: number[]) => ({
  conditionOneOf: { case: 'hasId' as const, value: { hasId: numbers.map(id) } },
})

export const allPayload = { selectorOptions: { case: 'enable' as const, value: true } }

export const createRequest = (collectionName: string, dimensions: number) => ({
  collectionName,
  vectorsConfig: {
    config: {
      case: 'paramsMap' as const,
      value: { map: { dense: { size: BigInt(dimensions), distance: Distance.Dot } } },
    },
  },
  sparseVectorsConfig: { map: { terms: { modifier: Modifier.Idf } } },
})

export function connect(url: string) {
  const client = new QdrantClient({
    url,
    compression: false,
    timeout: Number.POSITIVE_INFINITY,
    checkCompatibility: false,
  })
  return { points: client.api('points'), collections: client.api('collections'), service: client.api('service') }
}

export type Connected = ReturnType<typeof connect>
