import type { Registry } from 'prom-client'
import { Counter, Histogram } from 'prom-client'
import type { Principal } from '../principal.ts'
import { findWhereItServes } from './finding.ts'
import type { FreshnessFollower } from './freshness-follower.ts'
import type { SearchMessage } from './protocol.ts'
import { queryOf } from './searching.ts'
import type { Serving, ServingFollower } from './serving.ts'

/** A search that was answered. */
export interface Searched {
  readonly message: SearchMessage
  readonly principal: Principal
  readonly serving: Serving
  /** Ids of the documents that its hits are of, best first. */
  readonly documents: readonly string[]
  readonly embedMs: number
  readonly searchMs: number
}

export interface ShadowPorts {
  readonly serving: Pick<ServingFollower, 'beside' | 'sync'>
  readonly freshness: Pick<FreshnessFollower, 'asOf'>
  /** Of the searches, from 0 to 1. */
  readonly share: number
  readonly random: () => number
  readonly measured: ShadowMeasures
}

export interface ShadowMeasures {
  /** Of a search that was answered, whichever way. */
  took(space: string, embedMs: number, searchMs: number): void
  /** How many of the documents the collection beside found as well, from 0 to 1. */
  agreed(space: string, beside: string, share: number): void
  /** One that was to be compared was not: another was under way, or it failed. */
  skipped(why: 'busy' | 'failed'): void
}

/**
 * While there is a collection of another space that may serve next, a share of the searches is asked of it too, after they were answered and one
 * at a time, and how far both agree is measured. Of what was asked and found nothing is kept.
 */
export function shadowing({ serving, freshness, share, random, measured }: ShadowPorts): (searched: Searched) => void {
  let busy = false
  const compare = async ({ message, principal, documents, ...done }: Searched, beside: Serving): Promise<void> => {
    const signal = AbortSignal.timeout(SHADOW_MS_MAX)
    let embedMs = 0
    const wantedIn = async () => {
      const embedding = performance.now()
      const query = await queryOf(message, beside.engine, signal)
      embedMs = performance.now() - embedding
      return { ...message, query }
    }
    const ready = async () => {}
    const finding = { serving: { now: () => beside, sync: serving.sync }, freshness, ready }
    const { taken, ms } = await findWhereItServes(wantedIn, principal, finding, signal)
    const found = new Set(taken.map(({ key }) => key.slice(principal.tenant.length + 1)))
    const asked = new Set(documents)
    const both = [...asked].filter((id) => found.has(id)).length
    measured.took(beside.space, embedMs, ms - embedMs)
    measured.agreed(done.serving.space, beside.space, both / Math.max(1, asked.size, found.size))
  }
  return (searched) => {
    const { message, serving: present, embedMs, searchMs } = searched
    measured.took(present.space, embedMs, searchMs)
    // A page, what is compared with a vector of one space, or what a model has ordered anew, has no counterpart in another.
    const { query, cursor, mode, rerank } = message
    if (typeof query !== 'string' || cursor !== undefined || mode === 'keyword' || rerank) return
    const beside = serving.beside(present)
    if (beside === null || random() >= share) return
    if (busy) return measured.skipped('busy')
    busy = true
    compare(searched, beside)
      .catch(() => measured.skipped('failed'))
      .finally(() => (busy = false))
  }
}

export function shadowMetrics(metrics: Registry): ShadowMeasures {
  const registers = [metrics]
  const seconds = new Histogram({
    name: 'freshet_search_seconds',
    help: 'Searches by the space that answered: embedding the question, and asking the index.',
    labelNames: ['space', 'step'],
    registers,
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5],
  })
  const agreement = new Histogram({
    name: 'freshet_shadow_overlap',
    help: 'Of sampled live searches: the share of their documents that the collection beside, of another space, found too.',
    labelNames: ['space', 'beside'],
    registers,
    buckets: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
  })
  const skipped = new Counter({
    name: 'freshet_shadow_skipped_total',
    help: 'Sampled searches that were not compared: another was under way, or it failed.',
    labelNames: ['why'],
    registers,
  })
  return {
    took(space, embedMs, searchMs) {
      seconds.observe({ space, step: 'embed' }, embedMs / 1_000)
      seconds.observe({ space, step: 'search' }, searchMs / 1_000)
    },
    agreed: (space, beside, share) => agreement.observe({ space, beside }, share),
    skipped: (why) => skipped.inc({ why }),
  }
}

const SHADOW_MS_MAX = 5_000
