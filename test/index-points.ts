import { readPayload } from '../connectors/qdrant/points.ts'
import type { Platform } from './platform.ts'

/** A point of the collection, as Qdrant tells it. */
export interface Point {
  readonly id: string
  readonly payload: Readonly<Record<string, unknown>>
  /** By the vector's name: dense numbers, or index:value of a sparse one. */
  readonly vectors: Readonly<Record<string, string>>
}

/** Every point of the platform's collection, ordered by id. */
export async function pointsOf({ qdrant, collection }: Platform): Promise<Point[]> {
  const points: Point[] = []
  const enable = { selectorOptions: { case: 'enable' as const, value: true } }
  let offset: Parameters<typeof qdrant.points.scroll>[0]['offset']
  do {
    const page = await qdrant.points.scroll(
      {
        collectionName: collection,
        limit: 500,
        withPayload: enable,
        withVectors: enable,
        ...(offset && { offset }),
      },
      { timeoutMs: 10_000 },
    )
    for (const { id, payload, vectors } of page.result)
      points.push({
        id: String(id?.pointIdOptions.value),
        payload: inOrder(readPayload(payload)) as Point['payload'],
        vectors: Object.fromEntries(vectorsOf(vectors?.vectorsOptions)),
      })
    offset = page.nextPageOffset
  } while (offset !== undefined)
  return points.sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** Qdrant tells the fields of a payload in whatever order: the same point is the same text. */
function inOrder(json: unknown): unknown {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return json
  const fields = Object.entries(json).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(fields.map(([name, each]) => [name, inOrder(each)]))
}

export const kindOf = ({ payload }: Point): string => String(payload.kind)

interface Output {
  readonly data: readonly number[]
  readonly indices?: { readonly data: readonly number[] } | undefined
  readonly vector: { readonly case?: string | undefined; readonly value?: unknown }
}

function vectorsOf(options: { case?: string | undefined; value?: unknown } | undefined): [string, string][] {
  if (options?.case !== 'vectors') return []
  const { vectors } = options.value as { vectors: Record<string, Output> }
  return Object.entries(vectors).map(([name, { data, indices, vector }]) => {
    const { value } = vector as { value?: { data?: number[]; values?: number[]; indices?: number[] } }
    const words = value?.indices ?? indices?.data
    const numbers = value?.data ?? value?.values ?? data
    return [name, `${words?.join(',') ?? ''} ${Buffer.from(Float32Array.from(numbers).buffer).toString('hex')}`]
  })
}
