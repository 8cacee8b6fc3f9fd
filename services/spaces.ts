import { vectors } from '../schemas/topics.ts'

/** The embedding spaces that have a topic. */
export function spacesIn(topicNames: readonly string[]): string[] {
  const [before = '', after = ''] = vectors.name.split('<space>')
  return topicNames.flatMap((name) => {
    const at = name.indexOf(before)
    return at === -1 || after !== '' ? [] : [name.slice(at + before.length)]
  })
}

export const spaceIn = (topicNames: readonly string[]): string | undefined => spacesIn(topicNames)[0]
