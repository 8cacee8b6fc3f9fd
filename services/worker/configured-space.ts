import type pino from 'pino'
import type { Space } from '../../engine/embedder.ts'
import { type ControlRecords, servingIn, servingKey, spaceKey } from '../../processors/collections.ts'
import { control, vectors } from '../../schemas/topics.ts'
import { Fatal } from '../../streams/errors.ts'
import { partitionOf } from '../../streams/partitioner.ts'
import { nameIn } from '../../streams/topic.ts'
import { describeModel, type ModelVersion } from '../engine.ts'
import type { Platform } from '../platform.ts'
import type { Followed } from './followed.ts'

/** The model that the configuration names, and its space. */
export interface Configured extends ModelVersion {
  readonly space: Pick<Space, 'id' | 'dimensions'>
}

/** Writes down the space that the platform begins with, and says which one answers. Throws `Fatal` where the configured one is another. */
export async function knowConfigured(
  { broker, serde, scope }: Pick<Platform, 'broker' | 'serde' | 'scope'>,
  followed: Pick<Followed, 'decided' | 'sync'>,
  configured: Configured,
  log: pino.Logger,
): Promise<void> {
  const before = nameIn({ ...scope, space: '' }, vectors)
  const names = (await broker.admin.topics()).map(({ name }) => name)
  const inTopics = names.flatMap((name) => (name.startsWith(before) ? [name.slice(before.length)] : []))
  await followed.sync()
  const verdict = verdictOn(followed.decided(), scope.prefix, configured, inTopics)
  if (verdict.do === 'refuse') throw new Fatal(verdict.why)
  const { model, version, space } = configured
  if (verdict.do === 'go on') {
    if (verdict.serving !== space.id)
      log.info(
        { configured: describeModel(configured), serving: verdict.serving },
        'another space answers than that of the configured model: it was rolled out',
      )
    return
  }
  const key = spaceKey(space.id)
  const value = serde.encode(control, { space: { model, version, dimensions: space.dimensions, since: Date.now() } })
  const producer = await broker.producer()
  try {
    await producer.send([
      { topic: nameIn(scope, control), partition: partitionOf(key, control.partitions as number), key, value },
    ])
  } finally {
    await producer.close()
  }
  await followed.sync()
}

/** begin: it is the platform's own, and is not written down yet; go on: it is known here; refuse: it is another one. */
export type Verdict =
  | { readonly do: 'begin' }
  | { readonly do: 'go on'; readonly serving: string }
  | { readonly do: 'refuse'; readonly why: string }

/**
 * What the configured model is to a platform: the one that it begins with, and nothing more. Where another answers, the setting does not
 * change that. `inTopics`: spaces that have a topic, which is all that tells of them where the platform is older than their records. Pure.
 */
export function verdictOn(
  decided: ControlRecords,
  prefix: string,
  configured: Configured,
  inTopics: readonly string[],
): Verdict {
  const space = configured.space.id
  const isKnown = decided.get(spaceKey(space))?.space != null
  const serving = servingIn(decided, { prefix, space }).space
  if (isKnown) return { do: 'go on', serving }
  if (serving !== space) return refusal(serving, decided, configured)
  const others = inTopics.filter((each) => each !== space)
  const isDecided = decided.get(servingKey)?.serving != null
  if (!isDecided && others.length > 0 && !inTopics.includes(space)) return refusal(others[0]!, decided, configured)
  return { do: 'begin' }
}

function refusal(serving: string, decided: ControlRecords, configured: Configured): Verdict {
  const wanted = describeModel(configured)
  const known = decided.get(spaceKey(serving))?.space
  const present = known == null ? null : describeModel(known)
  const back = present === null ? 'its own model again' : present
  return {
    do: 'refuse',
    why: `model: is ${wanted}, whose embedding space is ${configured.space.id}, and this platform answers from ${serving}${present === null ? '' : ` of ${present}`}: the two are never mixed. To change the model while search goes on: freshet models rollout ${wanted}; to stay: set FRESHET_MODEL to ${back}`,
  }
}
