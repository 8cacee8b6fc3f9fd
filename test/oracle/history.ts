import type { RawDocument } from '../../processors/clean-text.ts'
import type { Document } from '../../schemas/records.ts'
import type { RejectClass } from '../../streams/processor.ts'
import { unseenIn } from './compacted.ts'
import { cleaned, contentOf, type Derived, deriver, type Rejected } from './derive.ts'
import type { Finding, Log, Sent, Stored, World } from './world.ts'

/** What the producers' log says must be, without a look at anything that the pipeline made. */
export interface History {
  /** Everything that lies in Kafka because its producer sent it. */
  readonly present: readonly Present[]
  /** Of each document, its revisions in order. */
  readonly revisions: ReadonlyMap<string, readonly Revision[]>
  /** Sends in doubt, and how many of them are there. */
  readonly doubts: { readonly sent: number; readonly there: number }
  readonly findings: readonly Finding[]
}

/** Removed before it was indexed, and replaced by a later revision; or compacted away unseen: nothing is left that could have a receipt. */
export function neverSeen(
  { removed = new Set(), compacted = [] }: Pick<World, 'removed' | 'compacted'>,
  { revisions }: Pick<History, 'revisions'>,
): ReadonlySet<string> {
  const latest = new Set([...revisions.values()].map((own) => placeOf(own.at(-1)!)))
  return new Set([...[...removed].filter((place) => !latest.has(place)), ...unseenIn({ compacted })])
}

const placeOf = ({ partition, offset }: Pick<Revision, 'partition' | 'offset'>): string => `${partition}/${offset}`

export interface Present extends Sent {
  readonly offset: number
  /** What can never succeed, by our own F; null for what must. */
  readonly rejected: RejectClass | null
}

export interface Revision {
  readonly key: string
  readonly partition: number
  /** In `documents`; null where ingest has not brought it there. */
  readonly offset: number | null
  /** What must be served; null: nothing (deleted, or this revision is rejected). */
  readonly derived: Derived | null
  readonly rejected: RejectClass | null
  /** Equal where two revisions are the same to the index. */
  readonly content: string
}

export async function historyOf({ engine, sent, documents, inbox }: World): Promise<History> {
  const derive = deriver(engine)
  const logs = { documents: indexOf(documents), inbox: indexOf(inbox) }
  const findings: Finding[] = []
  const present: Present[] = []
  const revisions = new Map<string, Revision[]>()
  const doors = new Map<string, Sent['door']>()
  const doubts = { sent: 0, there: 0 }
  const landed = sent
    .map((each) => ({ each, stored: find(each, logs[each.door]) }))
    .filter(({ each, stored }) => {
      if (each.offset !== null) return true
      doubts.sent++
      if (stored !== undefined) doubts.there++
      return stored !== undefined
    })
    .map(({ each, stored }) => ({ each, stored, offset: each.offset ?? stored!.offset }))
    // Within a door a key lies in one partition; there the log's order is the order of its revisions.
    .sort((a, b) => a.each.partition - b.each.partition || a.offset - b.offset)
  const born = bornOf(
    documents,
    landed.filter(({ each }) => each.door === 'documents').map(({ each }) => each),
  )
  for (const { each, stored, offset } of landed) {
    const { door, partition, key, value, meant } = each
    if (stored === undefined || !same(stored.value, value) || !same(stored.key, key))
      findings.push({ invariant: 'I6', what: `${door} ${partition}/${offset} was acknowledged and is not there` })
    const what = await outcomeOf(meant, door, derive)
    const isRevision = what.reaches && key !== null
    present.push({ ...each, offset, rejected: what.rejected })
    if (!isRevision) continue
    const name = key.toString('utf8')
    if ((doors.get(name) ?? door) !== door) throw new Error(`the key ${name} was sent through both doors`)
    doors.set(name, door)
    const own = revisions.get(name) ?? []
    revisions.set(name, own)
    let at: Stored | undefined = stored
    if (door === 'inbox') {
      at = born.get(name)?.[own.length]
      if (at === undefined)
        findings.push({ invariant: 'I6', what: `inbox ${partition}/${offset} of ${name} never came to documents` })
      else if (contentText(at.document) !== contentText(what.document))
        findings.push({
          invariant: 'I6',
          what: `documents ${at.partition}/${at.offset} is not what inbox ${partition}/${offset} of ${name} gives`,
        })
    }
    own.push({
      key: name,
      partition: at?.partition ?? partition,
      offset: at?.offset ?? null,
      derived: what.derived,
      rejected: what.rejected,
      content: contentText(what.document),
    })
  }
  for (const [name, records] of born)
    for (const { partition, offset } of records.slice(doors.get(name) === 'inbox' ? revisions.get(name)!.length : 0))
      findings.push({ invariant: 'I6', what: `documents ${partition}/${offset} of ${name} was sent by nobody` })
  return { present, revisions, doubts, findings }
}

interface What {
  /** It becomes a revision in `documents`. */
  readonly reaches: boolean
  readonly document: Document | null | undefined
  readonly derived: Derived | null
  readonly rejected: RejectClass | null
}

async function outcomeOf(
  meant: Sent['meant'],
  door: Sent['door'],
  derive: (document: Document) => Promise<Derived | Rejected>,
): Promise<What> {
  if (meant.kind === 'deletion') return { reaches: true, document: null, derived: null, rejected: null }
  if (meant.kind === 'poison') {
    const reaches = door === 'documents' && meant.class !== 'key' && meant.class !== 'partition'
    return { reaches, document: undefined, derived: null, rejected: meant.class }
  }
  const document = door === 'inbox' ? cleaned(meant.document as RawDocument) : (meant.document as Document)
  if ('rejected' in document) return { reaches: false, document: undefined, derived: null, rejected: document.rejected }
  const derived = await derive(document)
  if ('rejected' in derived) return { reaches: true, document, derived: null, rejected: derived.rejected }
  return { reaches: true, document, derived, rejected: null }
}

/** The content of a revision that deletes. */
export const DELETED = 'deleted'

const contentText = (document: Document | null | undefined): string =>
  document === undefined ? 'unreadable' : document === null ? DELETED : contentOf(document)

/** Records of `documents` that nobody sent there: what ingest brought, by key. */
function bornOf({ records }: Log, direct: readonly Sent[]): Map<string, Stored[]> {
  const known = new Set(direct.map(({ partition, offset }) => `${partition}/${offset}`))
  const marks = new Set(direct.filter(({ offset }) => offset === null).map(({ mark }) => mark))
  const others = records.filter(
    (record) => !known.has(`${record.partition}/${record.offset}`) && !marks.has(markOf(record)),
  )
  return Map.groupBy(others, ({ key }) => key?.toString('utf8') ?? '')
}

interface LogIndex {
  readonly byPlace: ReadonlyMap<string, Stored>
  readonly byMark: ReadonlyMap<string, Stored>
}

const indexOf = ({ records }: Log): LogIndex => ({
  byPlace: new Map(records.map((record) => [`${record.partition}/${record.offset}`, record])),
  byMark: new Map(records.map((record) => [markOf(record), record])),
})

const find = ({ partition, offset, mark }: Sent, { byPlace, byMark }: LogIndex): Stored | undefined =>
  offset === null ? byMark.get(mark) : byPlace.get(`${partition}/${offset}`)

const markOf = ({ headers }: Stored): string => headers.sent?.toString('utf8') ?? ''

const same = (a: Buffer | null, b: Buffer | null): boolean => (a === null || b === null ? a === b : a.equals(b))
