import type { CallOptions } from '@connectrpc/connect'
import type { Value } from '@qdrant/js-client-grpc'
import type { Manifest } from '../../processors/vector-index.ts'
import type { Qdrant } from './client.ts'
import { type IdInit, idText, manifestId, readManifest } from './points.ts'

/** Payloads of points, by the text of their ids. */
export type Payloads = ReadonlyMap<string, Record<string, Value>>

/** Those of the points that are there, with these fields or all. Rejects as the client does; `read` in `client.ts` says what to do then. */
export async function payloadsOf(
  { points }: Qdrant,
  collectionName: string,
  ids: IdInit[],
  options: CallOptions,
  fields?: readonly string[],
): Promise<Payloads> {
  const selectorOptions =
    fields === undefined
      ? { case: 'enable' as const, value: true }
      : { case: 'include' as const, value: { fields: [...fields] } }
  const withPayload = { selectorOptions }
  const { result } = await points.get({ collectionName, ids, withPayload }, options)
  return new Map(result.map(({ id, payload }) => [idText(id!), payload]))
}

/** The manifests among them, in the order of the keys. `ids`: those of their manifests. */
export function manifestsIn(
  payloads: Payloads,
  keys: readonly string[],
  ids: readonly IdInit[] = keys.map(manifestId),
): (Manifest | null)[] {
  return ids.map((id) => {
    const payload = payloads.get(idText(id))
    return payload === undefined ? null : readManifest(payload)
  })
}
