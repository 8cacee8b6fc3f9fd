import { parseFence } from '../../processors/fence.ts'
import { kindOf, pointsOf } from '../index-points.ts'
import type { Platform } from '../platform.ts'
import { receiptsOf } from '../topic-records.ts'

export interface IndexState {
  readonly manifests: readonly { readonly key: string; readonly offset: number }[]
  readonly markers: readonly { readonly partition: number; readonly applied: number; readonly low: number }[]
}

/** How far the index is, by what lies in it. */
export async function indexState(platform: Platform): Promise<IndexState> {
  const points = await pointsOf(platform)
  return {
    manifests: points
      .filter((point) => kindOf(point) === 'manifest')
      .map(({ payload }) => ({ key: String(payload.key), offset: parseFence(String(payload.fence))?.offset ?? -1 })),
    markers: points
      .filter((point) => kindOf(point) === 'marker')
      .map(({ payload }) => ({
        partition: Number(payload.partition),
        applied: Number(payload.applied),
        low: Number(payload.low),
      })),
  }
}

/** Documents whose revision in the index has no receipt yet. */
export async function appliedWithoutReceipt(platform: Platform): Promise<number> {
  const receipts = new Set((await receiptsOf(platform)).map(({ partition, offset }) => `${partition}/${offset}`))
  const { manifests } = await indexState(platform)
  return manifests.filter(({ key, offset }) => !receipts.has(`${platform.partitionOf(key)}/${offset}`)).length
}
