import type { CallOptions } from '@connectrpc/connect'
import type { Value } from '@qdrant/js-client-grpc'
import type { Manifest } from '../../processors/vector-index.ts'
import type { Qdrant } from './client.ts'
import { type IdInit, idText, manifestId, readManifest } from './points.ts'

/** Payloads of points, by the text of their ids. */
export type Payloads = ReadonlyMap<string, Record<string, Value>>

/** Those of the points that are there. Rejects as the client does; `read` in `client.ts` says what to do then. */
export async function payloadsOf(
  { points }: Qdrant,
  collectionName: string,
  ids: IdInit[],
  options: CallOptions,
): Promise<Payloads> {
  const withPayload = { selectorOptions: { case: 'enable' as const, value: true } }
  const { result } = await points.get({ collectionName, ids, withPayload }, options)
  return new Map(result.map(({ id, payload }) => [idText(id!), payload]))
}

/** The manifests among them, in the order of the keys. */
export function manifestsIn(payloads: Payloads, keys: readonly string[]): (Manifest | null)[] {
  return keys.map((key) => {
    const payload = payloads.get(idText(manifestId(key)))
    return payload === undefined ? null : readManifest(payload)
  })
}
