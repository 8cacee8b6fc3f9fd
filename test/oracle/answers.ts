import type { History, Revision } from './history.ts'
import type { Checked, Finding, Invariant, World } from './world.ts'

/** What one reader was told at one moment: an answer of the query service, or a look into the index as search takes it. */
export interface Answer {
  readonly reader: string
  readonly tenant: string
  /** ms since 1970, before it was asked. */
  readonly atMs: number
  /** What the answer claims to include, by partition of `documents`; null where it claims nothing. */
  readonly lows: ReadonlyMap<number, number> | null
  readonly hits: readonly AnsweredChunk[]
  /** Documents that were seen to be there whole: all their chunks are among the hits. */
  readonly whole: readonly string[]
  /** Documents that were seen to be deleted, and by which revision. */
  readonly deleted: readonly { readonly key: string; readonly epoch: number; readonly offset: number }[]
  /** Of documents that are there: the newest revision that their manifests have seen, where the reader could look. */
  readonly seen?: ReadonlyMap<string, number>
  /** Documents that were looked for and are not known at all. */
  readonly absent?: readonly string[]
}

export interface AnsweredChunk {
  readonly key: string
  /** Of the revision that it is of; the first, where it is left out. */
  readonly epoch?: number
  readonly offset: number
  readonly ordinal: number
  readonly text: string
}

/**
 * I3: no reader sees a document go back, nor two revisions of it mixed. I4: a deleted one is not served again unless it was
 * made again. I10: no answer holds anything of another tenant. Between a restored copy and `complete` the first two are
 * excepted.
 */
export function checkAnswers(world: World, history: History): Checked {
  const judge = judgeOf(history)
  const findings: Finding[] = []
  const compared = { I3: 0, I4: 0, I10: 0 }
  for (const answers of Map.groupBy(world.answers, ({ reader }) => reader).values()) {
    const newest = new Map<string, number>()
    for (const answer of answers) {
      const excepted = world.restores.some(({ fromMs, toMs }) => answer.atMs >= fromMs && answer.atMs <= toMs)
      const found = (invariant: Invariant, what: string) => {
        if (!excepted || invariant === 'I10') findings.push({ invariant, what: `${answer.reader}: ${what}` })
      }
      for (const [key, hits] of Map.groupBy(answer.hits, (hit) => hit.key)) {
        compared.I3++
        compared.I4++
        compared.I10 += hits.length
        const seen = newest.get(key) ?? -1
        const own = history.revisions.get(key) ?? []
        const wasSetBack = world.restores.some(({ toMs }) => toMs < answer.atMs)
        judge(key, hits, answer, wasSetBack && isSameAgain(own, hits, seen) ? -1 : seen, found)
        if (!excepted) newest.set(key, Math.max(newest.get(key) ?? -1, ...hits.map(({ offset }) => offset)))
      }
      for (const { key, offset } of [...answer.deleted, ...(answer.absent ?? []).map((key) => ({ key, offset: -1 }))]) {
        const claimed = claimedOf(history.revisions.get(key) ?? [], answer)
        if (claimed?.derived && claimed.offset! > offset)
          found('I7', `${key} is not there as of ${claimed.offset}, which the watermark has passed`)
      }
      for (const { key, offset } of answer.deleted) {
        compared.I4++
        if (offset < (newest.get(key) ?? -1))
          found('I3', `${key} is deleted by ${offset}, and ${newest.get(key)} was seen`)
        else if (!excepted) newest.set(key, offset)
      }
    }
  }
  return { findings, compared }
}

function judgeOf({ revisions }: History) {
  const byPlace = new Map(
    [...revisions.values()].flat().map((revision) => [`${revision.key} ${revision.offset}`, revision]),
  )
  const tenants = new Map<string, Set<string>>()
  for (const { key, derived } of byPlace.values())
    for (const { text } of derived?.chunks ?? []) tenants.set(text, (tenants.get(text) ?? new Set()).add(tenantOf(key)))

  return (
    key: string,
    hits: readonly AnsweredChunk[],
    answer: Answer,
    newest: number,
    found: (invariant: Invariant, what: string) => void,
  ): void => {
    const { tenant, whole } = answer
    if (tenantOf(key) !== tenant) found('I10', `${key} was shown to ${tenant}`)
    const offsets = [...new Set(hits.map(({ offset }) => offset))]
    if (offsets.length > 1) found('I3', `${key} mixes the revisions ${offsets.join(' and ')}`)
    for (const { ordinal, text, offset } of hits) {
      const is = byPlace.get(`${key} ${offset}`)?.derived?.chunks[ordinal]?.text
      if (is === text) continue
      const others = tenants.get(text)
      if (others !== undefined && !others.has(tenant))
        found('I10', `${key}#${ordinal} has a text of ${[...others][0]}, for ${tenant}`)
      else found('I3', `${key}#${ordinal} of ${offset} has a text that this revision has not`)
    }
    const offset = Math.min(...offsets)
    const own = revisions.get(key) ?? []
    const chunks = byPlace.get(`${key} ${offset}`)?.derived?.chunks.length
    if (whole.includes(key) && hits.length !== chunks)
      found('I3', `${key} has ${hits.length} chunks, and ${offset} has ${chunks}`)
    if (offset < newest)
      found(isGone(own, offset, newest) ? 'I4' : 'I3', `${key} went back from ${newest} to ${offset}`)
    const claimed = claimedOf(own, answer)
    const seen = answer.seen?.get(key)
    if (claimed !== undefined && seen !== undefined && claimed.offset! > seen)
      found('I7', `${key} has seen ${seen}, and the watermark has passed ${claimed.offset}`)
    if (claimed !== undefined && claimed.offset! > offset && !isSame(own, offset, claimed))
      found(claimed.derived === null ? 'I4' : 'I3', `${key} is served as of ${claimed.offset} and is ${offset}`)
  }
}

/** The newest revision that the answer claims to include. */
const claimedOf = (own: readonly Revision[], { lows }: Answer): Revision | undefined =>
  own.findLast(({ partition, offset }) => offset !== null && offset <= (lows?.get(partition) ?? -1))

/** Whether a deletion lies between what is served and what was seen before. */
const isGone = (own: readonly Revision[], offset: number, newest: number): boolean =>
  own.some(({ offset: at, derived }) => at !== null && at > offset && at <= newest && derived === null)

/** A copy of the index that catches up goes over the versions between in one step: where it ends like it began, it stays as it was. */
const isSameAgain = (own: readonly Revision[], [hit]: readonly AnsweredChunk[], newest: number): boolean => {
  const contentAt = (offset: number) => own.find(({ offset: at }) => at === offset)?.content
  return contentAt(newest) !== undefined && contentAt(hit!.offset) === contentAt(newest)
}

/**
 * Unchanged content stays under the revision that brought it, also over others that were overtaken in the same batch. The index may
 * be ahead of what is claimed, so the revision that is like it may be a later one than the newest that is claimed.
 */
function isSame(own: readonly Revision[], offset: number, claimed: Revision): boolean {
  const served = own.find(({ offset: at }) => at === offset)?.content
  return own.slice(own.indexOf(claimed)).some(({ content }) => content === served)
}

const tenantOf = (key: string): string => key.slice(0, key.indexOf('/'))
