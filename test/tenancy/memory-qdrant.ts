import type { MessageInitShape } from '@bufbuild/protobuf'
import {
  type ConditionSchema,
  type FilterSchema,
  type PointsUpdateOperationSchema,
  UpdateMode,
  UpdateStatus,
} from '@qdrant/js-client-grpc'
import type { Qdrant } from '../../connectors/qdrant/client.ts'
import { type IdInit, idText, type PointInit, readPayload } from '../../connectors/qdrant/points.ts'
import { StartOver } from '../../streams/errors.ts'

const CONNECTION = 0

type Filter = MessageInitShape<typeof FilterSchema>
type Condition = MessageInitShape<typeof ConditionSchema>
type Operation = NonNullable<MessageInitShape<typeof PointsUpdateOperationSchema>['operation']>

interface Query {
  readonly filter: Filter
  readonly using: string
  readonly limit: bigint
  readonly query: { readonly variant: { readonly value: { readonly variant: Required<Vector> } } }
}

export interface MemoryQdrant {
  readonly qdrant: Qdrant
  /** The filter of each search and scroll, in order. */
  readonly filters: Filter[]
  /** Requests of every kind. */
  requests(): number
  payloads(): Readonly<Record<string, unknown>>[]
}

interface Stored {
  readonly id: IdInit
  readonly point: PointInit
  /** As plain values. */
  readonly payload: Readonly<Record<string, unknown>>
}

/**
 * The calls of Qdrant that the connector makes, in memory, filters evaluated as they are given. It passes the contract of the index.
 * `ignores`: conditions on this field of the payload hold always, as if they had been forgotten.
 */
export function memoryQdrant({ ignores = '' }: { ignores?: string } = {}): MemoryQdrant {
  const stored = new Map<string, Stored>()
  const filters: Filter[] = []
  let requests = 0

  const matching = (filter: Filter | undefined): Stored[] =>
    [...stored.values()].filter((each) => filter === undefined || holds(filter, each, ignores))
  const put = (point: PointInit): void => {
    const payload = readPayload(point.payload as never)
    stored.set(textOf(point.id!), { id: point.id!, point, payload })
  }
  const remove = (selector: Selector): void => {
    const { case: by, value } = selector.pointsSelectorOneOf!
    const ids = by === 'points' ? value.ids!.map(textOf) : matching(value as Filter).map(({ id }) => textOf(id))
    for (const id of ids) stored.delete(id)
  }
  const apply = (operation: Operation): void => {
    if (operation.case === 'deletePoints') return remove(operation.value.points as unknown as Selector)
    if (operation.case !== 'upsert') throw new Error(`${operation.case} is not known here`)
    const { points, updateMode, updateFilter } = operation.value
    for (const point of points!) {
      const present = stored.get(textOf(point.id!))
      if (updateMode === UpdateMode.InsertOnly && present !== undefined) continue
      if (updateMode === UpdateMode.UpdateOnly && present === undefined) continue
      if (updateFilter && present !== undefined && !holds(updateFilter as unknown as Filter, present, ignores)) continue
      put(point)
    }
  }
  const told = ({ id, point, payload: _ }: Stored) => ({ id, payload: point.payload ?? {}, vectors: point.vectors })

  const points = {
    async updateBatch({ operations }: { operations: { operation: Operation }[] }) {
      requests++
      for (const { operation } of operations) apply(operation)
      return { result: operations.map(() => ({ status: UpdateStatus.Completed })) }
    },
    async delete({ points: selector }: { points: Selector }) {
      requests++
      remove(selector)
      return { result: { status: UpdateStatus.Completed } }
    },
    async get({ ids }: { ids: IdInit[] }) {
      requests++
      return { result: ids.flatMap((id) => stored.get(textOf(id)) ?? []).map(told) }
    },
    async scroll({ filter, limit, offset }: { filter: Filter; limit: number; offset?: IdInit }) {
      requests++
      filters.push(filter)
      const from = offset === undefined ? '' : textOf(offset)
      const rest = matching(filter)
        .filter(({ id }) => textOf(id) >= from)
        .sort((a, b) => (textOf(a.id) < textOf(b.id) ? -1 : 1))
      return { result: rest.slice(0, limit).map(told), nextPageOffset: rest[limit]?.id }
    },
    async count({ filter }: { filter: Filter }) {
      requests++
      return { result: { count: BigInt(matching(filter).length) } }
    },
    async queryBatch({ queryPoints }: { queryPoints: Query[] }) {
      requests++
      return {
        result: queryPoints.map(({ filter, using, query, limit }) => {
          filters.push(filter)
          const score = scorer(query)
          const ranked = matching(filter).flatMap((each) => {
            const scored = score(vectorOf(each.point, using))
            return scored === null ? [] : [{ ...told(each), score: scored }]
          })
          ranked.sort((a, b) => b.score - a.score || (textOf(a.id) < textOf(b.id) ? -1 : 1))
          return { result: ranked.slice(0, Number(limit)) }
        }),
      }
    },
  }
  type Call = <T>(what: string, make: (options: object) => Promise<T>) => Promise<T>
  const read: Call = (_what, make) => make({})
  const readOver = async <T>(what: string, make: (options: object) => Promise<T>) => ({
    answer: await read(what, make),
    connection: CONNECTION,
  })
  const write = async <T>(what: string, make: (options: object) => Promise<T>, only = CONNECTION): Promise<T> => {
    if (only !== CONNECTION) throw new StartOver(`connection ${only} is not there any more`)
    return read(what, make)
  }
  return {
    qdrant: { url: 'memory', points, read, readOver, write } as unknown as Qdrant,
    filters,
    requests: () => requests,
    payloads: () => [...stored.values()].map(({ payload }) => payload),
  }
}

interface Selector {
  readonly pointsSelectorOneOf?: { readonly case: 'points' | 'filter'; readonly value: { readonly ids?: IdInit[] } }
}

const textOf = (id: IdInit): string => idText(id as never)

function holds({ must, should, mustNot }: Filter, stored: Stored, ignores: string): boolean {
  const isSo = (condition: Condition) => isMet(condition, stored, ignores)
  return (
    (must ?? []).every(isSo) &&
    !(mustNot ?? []).some(isSo) &&
    ((should ?? []).length === 0 || (should ?? []).some(isSo))
  )
}

function isMet({ conditionOneOf: condition }: Condition, { id, payload }: Stored, ignores: string): boolean {
  switch (condition?.case) {
    case 'filter':
      return holds(condition.value, { id, payload } as Stored, ignores)
    case 'hasId':
      return condition.value.hasId!.some((each) => textOf(each) === textOf(id))
    case 'isEmpty':
      return condition.value.key === ignores || valuesAt(payload, condition.value.key!).length === 0
    case 'field': {
      const { key, match, range, datetimeRange } = condition.value
      if (key === ignores) return true
      return valuesAt(payload, key!).some((value) => {
        if (datetimeRange !== undefined) return isWithin(momentOf(value), momentsOf(datetimeRange))
        return match === undefined ? isWithin(value, range ?? {}) : isMatched(value, match.matchValue)
      })
    }
    default:
      throw new Error(`the condition ${condition?.case} is not known here`)
  }
}

type Match = NonNullable<
  NonNullable<Extract<NonNullable<Condition['conditionOneOf']>, { case: 'field' }>['value']['match']>['matchValue']
>

function isMatched(value: unknown, match: Match | { case: undefined } | undefined): boolean {
  switch (match?.case) {
    case 'keywords':
      return match.value.strings!.includes(String(value))
    case 'integer':
      return value === Number(match.value)
    case 'keyword':
    case 'boolean':
      return value === match.value
    default:
      throw new Error(`the match ${match?.case} is not known here`)
  }
}

type Range = { readonly gt?: number; readonly gte?: number; readonly lt?: number; readonly lte?: number }

const momentOf = (value: unknown): number | null =>
  typeof value === 'string' && /^\d{4}-\d\d-\d\d/.test(value)
    ? Date.parse(/(Z|[+-]\d\d:\d\d)$/.test(value) || value.length === 10 ? value : `${value}Z`)
    : null

const momentsOf = (range: object): Range =>
  Object.fromEntries(
    (['gt', 'gte', 'lt', 'lte'] as const).flatMap((bound) => {
      const at = (range as Readonly<Record<string, { seconds: bigint; nanos: number } | undefined>>)[bound]
      return at === undefined ? [] : [[bound, Number(at.seconds) * 1_000 + at.nanos / 1e6]]
    }),
  )

const isWithin = (value: unknown, { gt, gte, lt, lte }: Range): boolean =>
  typeof value === 'number' &&
  (gt === undefined || value > gt) &&
  (gte === undefined || value >= gte) &&
  (lt === undefined || value < lt) &&
  (lte === undefined || value <= lte)

/** What a field holds: each item of a list by itself, nothing where it is absent or null. */
function valuesAt(payload: Readonly<Record<string, unknown>>, key: string): readonly unknown[] {
  const names = key.includes('.') ? [...key.matchAll(/"([^"]*)"|[^."]+/g)].map(([all, quoted]) => quoted ?? all) : [key]
  let value: unknown = payload
  for (const name of names) value = (value as Record<string, unknown> | null | undefined)?.[name]
  return value === undefined || value === null ? [] : Array.isArray(value) ? value : [value]
}

interface Vector {
  readonly case?: string
  readonly value?: { readonly data?: number[]; readonly indices?: number[]; readonly values?: number[] }
}

function vectorOf({ vectors }: PointInit, name: string): Vector | undefined {
  const { value } = vectors!.vectorsOptions as { value: { vectors: Record<string, { vector: Vector }> } }
  return value.vectors[name]?.vector
}

/** By the dot product; null: the point has no such vector, or none of the terms. */
function scorer({ variant: { value } }: Query['query']): (vector: Vector | undefined) => number | null {
  const { variant } = value
  const { data = [], indices = [], values = [] } = variant.value
  const weights = new Map(indices.map((index, i) => [index, values[i]!]))
  return (vector) => {
    if (vector?.value === undefined) return null
    if (variant.case === 'dense') return data.reduce((sum, each, i) => sum + each * vector.value!.data![i]!, 0)
    const shared = vector.value.indices!.flatMap((index, i) => {
      const weight = weights.get(index)
      return weight === undefined ? [] : [weight * vector.value!.values![i]!]
    })
    return shared.length === 0 ? null : shared.reduce((sum, each) => sum + each, 0)
  }
}
