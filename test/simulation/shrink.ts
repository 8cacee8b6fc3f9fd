import type { Material } from './material.ts'
import type { Planted } from './simulation.ts'
import { simulate } from './simulation.ts'
import type { Story, StoryEvent } from './story.ts'

/**
 * The smallest story found that still breaks the same promise: takes events away, first many at once, then fewer. Source: ddmin
 * of Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input".
 */
export async function shrink(story: Story, promise: string, material: Material, planted: Planted = {}): Promise<Story> {
  const breaks = async (events: readonly StoryEvent[]): Promise<boolean> => {
    const { broken } = await simulate({ ...story, events }, material, { planted })
    return broken?.promise === promise
  }
  let events = story.events
  let parts = 2
  while (events.length >= 2) {
    const size = Math.ceil(events.length / parts)
    let smaller: readonly StoryEvent[] | null = null
    for (let first = 0; first < events.length && smaller === null; first += size) {
      const rest = [...events.slice(0, first), ...events.slice(first + size)]
      if (await breaks(rest)) smaller = rest
    }
    if (smaller !== null) {
      events = smaller
      parts = Math.max(parts - 1, 2)
    } else if (size === 1) break
    else parts = Math.min(parts * 2, events.length)
  }
  return { ...story, events }
}
