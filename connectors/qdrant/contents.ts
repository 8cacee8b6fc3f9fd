import type { MessageInitShape } from '@bufbuild/protobuf'
import { type ConditionSchema, type RetrievedPoint, UpdateStatus } from '@qdrant/js-client-grpc'
import { fenceText, parseFence } from '../../processors/fence.ts'
import {
  type ChunkPlace,
  type ChunkPoint,
  type IndexContents,
  placeOf,
  type Slice,
} from '../../processors/index-contents.ts'
import { StartOver } from '../../streams/errors.ts'
import { giveBuckets } from './buckets.ts'
import type { Qdrant } from './client.ts'
import type { CollectionSpec } from './collection.ts'
import { manifestsIn, payloadsOf } from './manifests.ts'
import {
  chunkId,
  denseName,
  type IdInit,
  idText,
  manifestId,
  markerId,
  readChunk,
  readManifest,
  readMarker,
  sparseName,
} from './points.ts'
import { denseOf, sparseOf } from './stored-vectors.ts'

type ConditionInit = MessageInitShape<typeof ConditionSchema>

/** Everything that a collection holds, for those who check it. */
export function qdrantContents(
  qdrant: Qdrant,
  { collection, space }: Pick<CollectionSpec, 'collection' | 'space'>,
): IndexContents {
  const names = [denseName(space), sparseName(space)] as const
  const withPayload = { selectorOptions: { case: 'enable' as const, value: true } }
  const withVectors = { selectorOptions: { case: 'include' as const, value: { names: [...names] } } }

  const chunkOf = ({ id, payload, vectors }: RetrievedPoint): ChunkPoint => {
    const chunk = readChunk(payload)
    const fence = chunk && parseFence(chunk.fence)
    const vector = denseOf(vectors?.vectorsOptions, names[0])
    const terms = sparseOf(vectors?.vectorsOptions, names[1])
    return {
      id: idText(id!),
      placed: fence !== null && idText(chunkId(chunk!.key, fence, chunk!.ordinal)) === idText(id!),
      payload: chunk,
      vectors: vector && { vector, termIndices: terms.indices, termValues: terms.values },
    }
  }

  async function* scroll(what: string, must: ConditionInit[], vectors: boolean): AsyncGenerator<RetrievedPoint[]> {
    let offset: IdInit | undefined
    do {
      const page = await qdrant.read(what, (options) =>
        qdrant.points.scroll(
          {
            collectionName: collection,
            filter: { must },
            limit: PAGE_POINTS,
            withPayload,
            ...(vectors && { withVectors }),
            ...(offset && { offset }),
          },
          options,
        ),
      )
      if (page.result.length > 0) yield page.result
      offset = page.nextPageOffset
    } while (offset !== undefined)
  }

  return {
    collection,
    space,
    prepare: (partitions) => giveBuckets(qdrant, collection, partitions),
    async count(partition) {
      const { result } = await qdrant.read('a count', (options) =>
        qdrant.points.count(
          { collectionName: collection, exact: true, filter: { must: [within({ partition, from: 0, to: null })] } },
          options,
        ),
      )
      return Number(result?.count ?? 0)
    },
    async marker(partition) {
      const id = markerId(partition)
      const payloads = await qdrant.read('a marker', (options) => payloadsOf(qdrant, collection, [id], options))
      const payload = payloads.get(idText(id))
      return payload === undefined ? null : readMarker(payload)
    },
    async *manifests(slice) {
      for await (const page of scroll('manifests', [kindIs('manifest'), within(slice)], false))
        yield page.map(({ payload }) => readManifest(payload)).filter((manifest) => manifest !== null)
    },
    async *chunks(slice) {
      for await (const page of scroll('chunks', [kindIs('chunk'), within(slice)], true)) yield page.map(chunkOf)
    },
    async manifestsOf(keys) {
      if (keys.length === 0) return []
      const payloads = await qdrant.read('manifests', (options) =>
        payloadsOf(qdrant, collection, keys.map(manifestId), options),
      )
      return manifestsIn(payloads, keys)
    },
    async chunksAt(places: readonly ChunkPlace[]) {
      const ids = places.map(({ key, fence, ordinal }) => chunkId(key, fence, ordinal))
      const found = new Map<string, ChunkPoint>()
      for (let first = 0; first < ids.length; first += PAGE_POINTS) {
        const { result } = await qdrant.read('chunks', (options) =>
          qdrant.points.get(
            { collectionName: collection, ids: ids.slice(first, first + PAGE_POINTS), withPayload, withVectors },
            options,
          ),
        )
        for (const point of result) found.set(idText(point.id!), chunkOf(point))
      }
      return ids.map((id) => found.get(idText(id)) ?? null)
    },
    async chunksOf(keys) {
      const found: ChunkPoint[] = []
      for (let first = 0; first < keys.length; first += KEYS_PER_FILTER) {
        const strings = keys.slice(first, first + KEYS_PER_FILTER)
        const ofThese = matches('key', { case: 'keywords', value: { strings } })
        for await (const page of scroll('chunks', [kindIs('chunk'), ofThese], true)) found.push(...page.map(chunkOf))
      }
      return found
    },
    async *strays() {
      const unnamed: ConditionInit = { conditionOneOf: { case: 'isEmpty', value: { key: 'kind' } } }
      for await (const page of scroll('points without a payload', [unnamed], false))
        yield page.map(({ id }) => idText(id!))
    },
    async remove(ids) {
      for (let first = 0; first < ids.length; first += IDS_PER_DELETION) {
        const uuids = ids.slice(first, first + IDS_PER_DELETION).map(uuid)
        const { result } = await qdrant.write('a deletion', (options) =>
          qdrant.points.delete(
            {
              collectionName: collection,
              wait: true,
              points: { pointsSelectorOneOf: { case: 'points', value: { ids: uuids } } },
            },
            options,
          ),
        )
        if (result?.status !== UpdateStatus.Completed) throw new StartOver(`Qdrant did not complete a deletion`)
      }
    },
    async forget(manifests) {
      for (const { key, fence } of manifests) {
        const hasId: ConditionInit = { conditionOneOf: { case: 'hasId', value: { hasId: [manifestId(key)] } } }
        const filter = { must: [hasId, matches('fence', { case: 'keyword', value: fenceText(fence) })] }
        const { result } = await qdrant.write('the removal of an entry', (options) =>
          qdrant.points.delete(
            {
              collectionName: collection,
              wait: true,
              points: { pointsSelectorOneOf: { case: 'filter', value: filter } },
            },
            options,
          ),
        )
        if (result?.status !== UpdateStatus.Completed) throw new StartOver(`Qdrant did not complete a removal`)
      }
    },
  }
}

/** With their vectors; more at once would hold up, for some ms, whoever else asks. */
const PAGE_POINTS = 128
const KEYS_PER_FILTER = 100
const IDS_PER_DELETION = 1_000

const uuid = (text: string): IdInit => ({ pointIdOptions: { case: 'uuid', value: text } })

type Match = NonNullable<
  Extract<NonNullable<ConditionInit['conditionOneOf']>, { case: 'field' }>['value']['match']
>['matchValue']

const matches = (key: string, matchValue: Match): ConditionInit => ({
  conditionOneOf: { case: 'field', value: { key, match: { matchValue } } },
})

const kindIs = (kind: string): ConditionInit => matches('kind', { case: 'keyword', value: kind })

function within({ partition, from, to }: Omit<Slice, 'to'> & { to: number | null }): ConditionInit {
  const end = to === null ? placeOf(partition + 1, 0) : placeOf(partition, to)
  return {
    conditionOneOf: { case: 'field', value: { key: 'bucket', range: { gte: placeOf(partition, from), lt: end } } },
  }
}
