import { parseFence } from '../../processors/fence.ts'
import { isOlderProgress } from '../../schemas/progress-order.ts'
import type { Progress } from '../../schemas/records.ts'
import { kindOf } from '../index-points.ts'
import { unseenIn } from './compacted.ts'
import { type History, neverSeen } from './history.ts'
import type { Checked, Finding, World } from './world.ts'

/** I7: a watermark never moves back unasked, and never passes what is not applied. */
export function checkWatermarks(world: World, { revisions }: History): Checked {
  const findings: Finding[] = []
  const found = (what: string) => findings.push({ invariant: 'I7', what })
  const ends = new Map(world.documents.ends.map(({ partition, end }) => [partition, end]))
  const counting = new Map<number, Progress>()
  let compared = 0
  for (const told of world.progress) {
    const { collection, partition, low, at } = told
    if (collection !== world.collection) continue
    compared++
    const last = counting.get(partition)
    // What is overtaken counts for no reader.
    if (last !== undefined && isOlderProgress(told, last)) continue
    const before = last?.low ?? -1
    const asked = world.restores.some(({ fromMs, toMs }) => at >= fromMs && at <= toMs)
    if (low < before && !asked) found(`the watermark of partition ${partition} went back from ${before} to ${low}`)
    if (low >= (ends.get(partition) ?? 0))
      found(`the watermark of partition ${partition} is ${low}, and the log ends at ${ends.get(partition)}`)
    counting.set(partition, told)
  }
  const lows = new Map([...counting].map(([partition, { low }]) => [partition, low]))
  for (const { payload } of world.points.filter((point) => kindOf(point) === 'marker'))
    if (Number(payload.low) >= (ends.get(Number(payload.partition)) ?? 0))
      found(`the marker of partition ${payload.partition} says ${payload.low}, which is behind the log's end`)

  const fences = new Map(
    world.points
      .filter((point) => kindOf(point) === 'manifest')
      .map(({ payload }) => [String(payload.key), parseFence(String(payload.fence))?.offset ?? -1]),
  )
  const answered = new Set(world.receipts.map(({ partition, offset }) => `${partition}/${offset}`))
  const without = neverSeen(world, { revisions })
  const unseen = unseenIn(world)
  for (const [key, own] of revisions) {
    const covered = own.filter(({ partition, offset }) => offset !== null && offset <= (lows.get(partition) ?? -1))
    const newest = covered.findLast((each) => !unseen.has(`${each.partition}/${each.offset}`))
    if (newest === undefined) continue
    compared++
    if ((fences.get(key) ?? -1) < newest.offset!)
      found(`the watermark ${lows.get(newest.partition)} passes ${newest.offset} of ${key}, which is not in the index`)
    for (const { partition, offset } of covered)
      if (!answered.has(`${partition}/${offset}`) && !without.has(`${partition}/${offset}`))
        found(`the watermark ${lows.get(partition)} passes ${partition}/${offset} of ${key}, which has no receipt`)
  }
  return { findings, compared: { I7: compared } }
}
