import type { Receipt } from '../../schemas/records.ts'
import type { DeadLetter } from '../../streams/dead-letters.ts'
import { unseenIn } from './compacted.ts'
import { DELETED, type History, neverSeen, type Present, type Revision } from './history.ts'
import type { Checked, Finding, Stored, World } from './world.ts'

/** How the offsets of one partition of `documents` add up. */
export interface Account {
  readonly partition: number
  readonly offsets: number
  readonly outcomes: Readonly<Record<string, number>>
  readonly holes: number
}

/**
 * I5: every offset of `documents` is exactly one outcome or a hole; a receipt for each, and for what belongs to no document
 * (malformed key, wrong partition) a dead letter only; what was removed before it was indexed, and has a later revision, has none, and neither has what was compacted away unseen. I6: all that was acknowledged is accounted for, what can never
 * succeed by exactly one dead letter with the untouched bytes, and nothing else by any.
 */
export function checkAccounts(
  world: World,
  { present, revisions }: History,
): Checked & { accounts: readonly Account[] } {
  const findings: Finding[] = []
  const compared = { I5: 0, I6: 0 }
  const served = new Set([world.collection, ...(world.formerCollections ?? [])])
  const receipts = Map.groupBy(
    world.receipts.filter(({ collection }) => served.has(collection)),
    ({ partition, offset }) => `${partition}/${offset}`,
  )
  const unplaced = new Set(receipts.keys())
  const receiptsAt = ({ partition, offset }: Stored) => receipts.get(`${partition}/${offset}`) ?? []
  const letters = lettersOf(world)
  const direct = new Map(
    present.filter(({ door }) => door === 'documents').map((each) => [`${each.partition}/${each.offset}`, each]),
  )
  const refusedHere = new Map(
    [...revisions.values()]
      .flat()
      .map(({ partition, offset, rejected }) => [`${partition}/${offset}`, rejected !== null]),
  )
  const without = neverSeen(world, { revisions })
  const unseen = unseenIn(world)
  const orphaned = orphanedIn(unseen, revisions)
  // Applied again to an older copy, a revision may find its content there or not.
  const mayDiffer = world.restores.length > 0
  const accounts = world.documents.ends.map(({ partition, start, end }): Account => {
    const records = world.documents.records.filter((record) => record.partition === partition)
    const outcomes: Record<string, number> = {}
    for (const record of records) {
      const { offset, document } = record
      const at = `${partition}/${offset}`
      const own = receiptsAt(record)
      const unkeyed = ['key', 'partition'].includes(direct.get(at)?.rejected ?? '')
      const rejected = refusedHere.get(at) === true
      unplaced.delete(at)
      compared.I5++
      const removed = own.length === 0 && without.has(at)
      const gone = unseen.has(at) ? 'compacted away unseen' : 'removed before it was indexed'
      const outcome = removed ? gone : unkeyed ? 'dead letter only' : settledIn(own)
      outcomes[outcome ?? 'none'] = (outcomes[outcome ?? 'none'] ?? 0) + 1
      const fault = unkeyed
        ? own.length > 0 && 'belongs to no document and has a receipt'
        : !removed && faultIn(own, { rejected, deleted: document === null, deletedUnseen: orphaned.has(at), mayDiffer })
      if (fault) findings.push({ invariant: 'I5', what: `documents ${at} ${fault}` })
    }
    const accounted = Object.values(outcomes).reduce((sum, count) => sum + count, 0)
    return { partition, offsets: end - start, outcomes, holes: end - start - accounted }
  })
  for (const at of unplaced)
    findings.push({ invariant: 'I5', what: `documents ${at} has a receipt and holds no record` })

  const due = new Map<string, Present>()
  for (const each of present) if (each.rejected !== null && letterAt(world, each)) due.set(letterAt(world, each)!, each)
  const noneIsDue = new Set([...unseen].map((at) => `${world.documents.topic} ${at}`))
  for (const [at, { rejected, value, key }] of due) {
    const own = letters.get(at) ?? []
    compared.I6++
    if (own.length === 0 && !noneIsDue.has(at))
      findings.push({ invariant: 'I6', what: `${at} can never succeed (${rejected}) and has no dead letter` })
    for (const letter of own) {
      if (letter.class !== rejected)
        findings.push({ invariant: 'I6', what: `the dead letter of ${at} says ${letter.class}, and it is ${rejected}` })
      if (!same(letter.value, value) || !same(letter.key, key))
        findings.push({ invariant: 'I6', what: `the dead letter of ${at} has other bytes` })
    }
  }
  compared.I6 += present.length
  // Documents that came by inbox and are rejected later have their dead letter where they lie in `documents`.
  const later = new Set(
    [...revisions.values()]
      .flat()
      .flatMap(({ partition, offset, rejected }) =>
        rejected !== null ? [`${world.documents.topic} ${partition}/${offset}`] : [],
      ),
  )
  for (const at of later)
    if (!letters.has(at) && !noneIsDue.has(at))
      findings.push({ invariant: 'I6', what: `${at} is rejected and has no dead letter` })
  const stored = new Map(
    world.documents.records.map((record) => [
      `${world.documents.topic} ${record.partition}/${record.offset}`,
      { ...record, receipts: receiptsAt(record) },
    ]),
  )
  for (const [at, own] of letters) {
    if (due.has(at) || later.has(at)) continue
    const record = stored.get(at)
    const [letter] = own
    if (record === undefined || !wasReplayed(record.receipts))
      findings.push({
        invariant: 'I6',
        what: `${at} has a dead letter and nothing is wrong with it: ${letter!.reason.slice(0, 120)}`,
      })
    else if (own.some(({ key, value }) => !same(key, record.key) || !same(value, record.value)))
      findings.push({ invariant: 'I6', what: `the dead letter of ${at}, which was replayed, has other bytes` })
  }
  return { findings, compared, accounts }
}

/** The revisions after which nothing was seen up to a deletion that nobody saw either. */
function orphanedIn(unseen: ReadonlySet<string>, revisions: History['revisions']): ReadonlySet<string> {
  const isUnseen = ({ partition, offset }: Revision) => unseen.has(`${partition}/${offset}`)
  const orphaned = new Set<string>()
  for (const own of revisions.values()) {
    let seen: Revision | null = null
    for (const each of own)
      if (!isUnseen(each)) seen = each
      else if (each.content === DELETED && seen !== null) orphaned.add(`${seen.partition}/${seen.offset}`)
  }
  return orphaned
}

/** By their place; the same letter again is a repetition. */
const lettersOf = ({ deadLetters, documents, inbox }: World): Map<string, DeadLetter[]> =>
  Map.groupBy(
    deadLetters.filter(({ topic }) => topic === documents.topic || topic === inbox.topic),
    ({ topic, partition, offset }) => `${topic} ${partition}/${offset}`,
  )

/** Null where the record is no longer there in this form: it came by inbox and went on. */
function letterAt({ documents, inbox }: World, { door, partition, offset, rejected, meant }: Present): string | null {
  if (door === 'documents') return `${documents.topic} ${partition}/${offset}`
  return meant.kind === 'poison' || rejected === 'content' ? `${inbox.topic} ${partition}/${offset}` : null
}

/** Seen again once a later revision is there, a record is `superseded`: what it led to at first stands. */
function outcomeIn(receipts: readonly Receipt[]): string | null {
  const outcomes = new Set(receipts.map(({ outcome }) => outcome))
  if (outcomes.size > 1) outcomes.delete('superseded')
  return outcomes.size === 0 ? null : [...outcomes].join(' and ')
}

const byDerivation = (receipts: readonly Receipt[]) => Map.groupBy(receipts, ({ derivation }) => derivation)

/** What the record came to: a later derivation takes the place of an earlier one. */
function settledIn(receipts: readonly Receipt[]): string | null {
  const outcomes = [...byDerivation(receipts)].sort(([a], [b]) => b - a).map(([, own]) => outcomeIn(own))
  return outcomes.find((outcome) => outcome !== 'superseded') ?? outcomes[0] ?? null
}

/** It was rejected, could be read later, and was derived again. */
function wasReplayed(receipts: readonly Receipt[]): boolean {
  const rejected = receipts.filter(({ outcome }) => outcome === 'rejected').map(({ derivation }) => derivation)
  const indexed = receipts.filter(({ outcome }) => outcome === 'indexed' || outcome === 'unchanged')
  return rejected.length > 0 && indexed.some(({ derivation }) => derivation > Math.max(...rejected))
}

interface Expected {
  readonly rejected: boolean
  readonly deleted: boolean
  /** A deletion came later that nobody saw: what was found to be missing of it is a derivation of this record. */
  readonly deletedUnseen: boolean
  readonly mayDiffer: boolean
}

function faultIn(
  receipts: readonly Receipt[],
  { rejected, deleted, deletedUnseen, mayDiffer }: Expected,
): string | false {
  if (receipts.length === 0) return 'has no receipt'
  const may = rejected ? ['rejected'] : deleted ? ['deleted'] : ['indexed', 'unchanged']
  const replayed = wasReplayed(receipts)
  // What is new to one collection can be as it was to another.
  const byOrigin = Map.groupBy(receipts, ({ collection, derivation }) => `${collection} ${derivation}`)
  for (const own of byOrigin.values()) {
    const outcome = outcomeIn(own)!
    if (outcome === 'superseded' || may.includes(outcome)) continue
    if (outcome === 'rejected' && replayed) continue
    if (outcome === 'deleted' && deletedUnseen && own.every(({ derivation }) => derivation > 0)) continue
    if (mayDiffer && own.every((receipt) => receipt.outcome === 'superseded' || may.includes(receipt.outcome))) continue
    return `has the outcome ${outcome}, and must be ${may.join(' or ')}`
  }
  return false
}

const same = (a: Buffer | null, b: Buffer | null): boolean => (a === null || b === null ? a === b : a.equals(b))
