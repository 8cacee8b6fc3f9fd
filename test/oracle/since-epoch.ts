import { parseFence } from '../../processors/fence.ts'
import { kindOf } from '../index-points.ts'
import type { World } from './world.ts'

/** From where on the world is another one: `documents` and `inbox` are other topics of the same names, and `documents` is accepted. */
export interface Since {
  readonly epoch: number
  /** How much had been sent before. */
  readonly sent: number
  /** When all was in the index that came after, ms since 1970: what was answered before is of both. */
  readonly atMs: number
  /** Kafka's ids of the topics that are there now. */
  readonly topicIds: ReadonlySet<string>
}

/**
 * The world of the newest epoch alone: offsets of different topics are compared with no others'. What is still served of a
 * former one stays in it, as something that nobody sent.
 */
export function sinceEpoch(world: World, { epoch, sent, atMs, topicIds }: Since): World {
  const epochOf = (fence: unknown) => parseFence(String(fence))?.epoch ?? 0
  return {
    ...world,
    sent: world.sent.slice(sent),
    receipts: world.receipts.filter((receipt) => receipt.epoch === epoch),
    progress: world.progress.filter((progress) => progress.epoch === epoch),
    deadLetters: world.deadLetters.filter(({ topicId }) => topicIds.has(topicId)),
    points: world.points.filter(
      (point) =>
        !(kindOf(point) === 'manifest' && point.payload.deleted === true && epochOf(point.payload.fence) < epoch),
    ),
    // Content that is again what a former epoch brought stays under that revision: at rest it is judged by what it says.
    answers: world.answers
      .filter((answer) => answer.atMs >= atMs)
      .map((answer) => {
        const hits = answer.hits.filter((hit) => hit.epoch === epoch)
        const former = new Set(answer.hits.filter((hit) => hit.epoch !== epoch).map(({ key }) => key))
        const deleted = answer.deleted.filter((each) => each.epoch === epoch)
        return { ...answer, hits, deleted, whole: answer.whole.filter((key) => !former.has(key)) }
      }),
  }
}
