import type { Estimate } from '../maintenance/estimate.ts'
import { type Facts, fillingOf, nextStep, type Step } from '../maintenance/rebuild.ts'
import { generationOf } from '../processors/collections.ts'

/** What is done, step by step; while a collection is filled, how far it is: on a terminal one line that changes. */
export interface RebuildProgress {
  step(step: Step, facts: Facts): void
  close(): void
}

export function rebuildProgress(out: NodeJS.WriteStream): RebuildProgress {
  let drawnAt = 0
  let said = ''
  let open = false
  let began: { readonly at: number; readonly applied: number } | null = null
  const write = (line: string, last: boolean): void => {
    out.write(out.isTTY ? `\r\x1b[2K${line}${last ? '\n' : ''}` : `${line}\n`)
    open = out.isTTY && !last
  }
  return {
    step(step, { now }) {
      if (step.do !== 'wait') {
        said = ''
        if (step.do !== 'done' && step.do !== 'refuse') write(step.say, true)
        return
      }
      const { say, filling } = step
      if (now - drawnAt < (out.isTTY ? TERMINAL_EVERY_MS : LOG_EVERY_MS) && (filling !== undefined || say === said))
        return
      drawnAt = now
      said = say
      if (filling === undefined) return write(say, false)
      began ??= { at: now, applied: filling.applied }
      const seconds = (now - began.at) / 1_000
      const rate = seconds > 0 ? (filling.applied - began.applied) / seconds : 0
      const left = filling.records - filling.applied
      const eta = rate > 0 ? `, ${rate.toFixed(0)}/s, about ${duration((left / rate) * 1_000)} left` : ''
      const percent = filling.records === 0 ? 100 : Math.floor((filling.applied / filling.records) * 100)
      write(`${filling.applied} of ${filling.records} records applied, ${percent} %${eta}`, false)
    },
    close() {
      if (open) out.write('\n')
      open = false
    },
  }
}

const TERMINAL_EVERY_MS = 200
const LOG_EVERY_MS = 5_000

export interface CollectionStatus {
  readonly collection: string
  readonly state: string
  readonly serving: boolean
  readonly since: number | null
  readonly inQdrant: boolean
  /** Records of `vectors` that are not applied. */
  readonly lag: number
  readonly behind: string | null
  /** Records that it could not apply, while it did not serve. */
  readonly rejected: number
}

export interface Status {
  readonly serving: string
  readonly collections: readonly CollectionStatus[]
  /** What freshet rebuild would do next. */
  readonly next: string
}

export function statusOf(facts: Facts): Status {
  const { serving, states, present, scope } = facts
  const names = [...new Set([serving, ...states.keys()])].filter((name) => states.get(name)?.state !== 'removed')
  const collections = names
    .sort((a, b) => (generationOf(a, scope) ?? 0) - (generationOf(b, scope) ?? 0))
    .map((collection) => {
      const { applied, records } = fillingOf(collection, facts)
      const state = states.get(collection)
      return {
        collection,
        state: collection === serving ? 'serving' : (state?.state ?? 'unknown'),
        serving: collection === serving,
        since: collection === serving ? facts.servingSince : (state?.since ?? null),
        inQdrant: present.has(collection),
        lag: records - applied,
        behind: state?.behind ?? null,
        rejected: [...(facts.progress.get(collection)?.values() ?? [])].reduce(
          (sum, each) => sum + (each.rejected ?? 0),
          0,
        ),
      }
    })
  return { serving, collections, next: nextStep('rebuild', facts).say }
}

export function describeStatus({ collections, next }: Status): string {
  const lines = collections.map(({ collection, state, since, lag, behind, rejected, inQdrant }) => {
    const notes = [
      since === null ? null : `since ${new Date(since).toISOString()}`,
      behind === null ? null : `behind ${behind}`,
      rejected === 0 ? null : `${rejected} rejected`,
      inQdrant ? null : 'not in Qdrant',
    ].filter((note) => note !== null)
    return `${state.padEnd(10)} ${String(lag).padStart(8)} behind the log  ${[collection, ...notes].join(', ')}`
  })
  return [...lines, `next: ${next}`].join('\n')
}

export function describeEstimate(
  { documents, chunks, records, bytes, embeddings, ms, cost }: Estimate,
  serving: string,
): string {
  const time = ms === null ? 'no rate of embedding was measured yet' : `about ${duration(ms)}`
  return [
    `A new collection beside ${serving}:`,
    `  documents   ${documents}, in ${chunks} chunks`,
    `  records     ${records} of vectors, ${(bytes / 2 ** 20).toFixed(1)} MiB of them current`,
    `  embeddings  ${embeddings}${embeddings === 0 ? ': vectors has every document as it is now' : ''}`,
    `  time        ${time}`,
    ...(cost === null ? [] : [`  cost        ${cost.toFixed(2)}`]),
  ].join('\n')
}

function duration(ms: number): string {
  if (ms < 90_000) return `${Math.ceil(ms / 1_000)} s`
  return ms < 5_400_000 ? `${Math.ceil(ms / 60_000)} min` : `${(ms / 3_600_000).toFixed(1)} h`
}
