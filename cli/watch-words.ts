import type { SearchHit, StandingState } from '../client/client.ts'
import { ageOf } from './search.ts'
import { printable } from './wish.ts'

/** One hit, or one that has left, and how it came to be where it is. */
interface Row {
  readonly mark: '+' | '-' | '~' | '↑' | '↓' | ' '
  readonly rank: number | null
  /** Where it was before, if it was elsewhere. */
  readonly from: number | null
  readonly hit: SearchHit
}

/** What to write for each state where nothing can be written over: what has changed, a line each. */
export function logOf(state: StandingState, before: StandingState | null): string[] {
  const lines = rowsOf(state, before)
    .filter(({ mark }) => mark !== ' ')
    .map((row) => lineOf(row))
  const status = statusOf(state, before)
  return status === null ? lines : [status, ...lines]
}

/** What is to be seen on a terminal: the whole list, with what has just changed marked, below it what has left. */
export function screenOf(
  state: StandingState,
  before: StandingState | null,
  { query, rows: rowsMax, colour }: { query: string; rows: number; colour: boolean },
): string[] {
  const paint = (code: string, text: string): string => (colour && code !== '' ? `\x1b[${code}m${text}\x1b[0m` : text)
  const lines = rowsOf(state, before).map((row) => paint(colours[row.mark], lineOf(row)))
  const room = Math.max(1, rowsMax - 3)
  const hidden = lines.length - room
  const shown = hidden > 0 ? [...lines.slice(0, room - 1), `… ${hidden + 1} more`] : lines
  const status = state.status === 'following' ? (statusOf(state, before) ?? summaryOf(state)) : troubleIn(state)
  return [
    paint('1', printable(query)),
    ...(shown.length === 0 ? ['nothing is found yet'] : shown),
    paint(state.status === 'following' ? '2' : '33', status),
  ]
}

const colours: Readonly<Record<Row['mark'], string>> = {
  '+': '32',
  '-': '31',
  '~': '36',
  '↑': '33',
  '↓': '33',
  ' ': '',
}

function rowsOf({ hits, changes }: StandingState, before: StandingState | null): Row[] {
  const was = new Map((before?.hits ?? []).map((hit, i) => [hit.hitId, { hit, rank: i + 1 }]))
  const ops = new Map(changes.map((change) => ['hit' in change ? change.hit.hitId : change.hitId, change.op]))
  const rows = hits.map((hit, i): Row => {
    const op = ops.get(hit.hitId)
    const from = was.get(hit.hitId)?.rank ?? null
    const moved = from === null || from === i + 1 ? ' ' : from > i + 1 ? '↑' : '↓'
    return {
      mark: op === 'enter' ? '+' : op === 'update' ? '~' : moved,
      rank: i + 1,
      from: moved === ' ' ? null : from,
      hit,
    }
  })
  const left = changes.flatMap((change): Row[] => {
    const gone = change.op === 'leave' ? was.get(change.hitId) : undefined
    return gone === undefined ? [] : [{ mark: '-', rank: null, from: gone.rank, hit: gone.hit }]
  })
  return [...rows, ...left]
}

function lineOf({ mark, rank, from, hit }: Row): string {
  const place = `${rank ?? from}`.padStart(3)
  const moved = rank !== null && from !== null ? ` (was ${from})` : ''
  const score = rank === null ? '' : `  ${hit.score.toFixed(4)}`
  return `${mark}${place}  ${printable(hit.title ?? hit.hitId, 60)}${moved}${score}  ${printable(hit.text, SNIPPET_CHARS)}`
}

/** What is to be said beside the hits; null: nothing that was not said. */
function statusOf(state: StandingState, before: StandingState | null): string | null {
  const { status, reason, recovered } = state
  if (status !== 'following') {
    const isSaid = before?.status === status && (status === 'reconnecting' || before.reason === reason)
    return isSaid ? null : troubleIn(state)
  }
  if (before === null) return summaryOf(state)
  if (!recovered) return `the list begins anew: ${summaryOf(state)}`
  if (before.status !== 'following') return `it goes on where it was: ${summaryOf(state)}`
  return null
}

function troubleIn({ status, reason }: StandingState): string {
  const what = status === 'reconnecting' ? 'the connection is lost' : 'the hits do not follow the index'
  return `${what} (${printable(reason ?? '')}); it goes on as soon as it can`
}

const summaryOf = ({ hits, asOf }: StandingState): string =>
  `${hits.length} ${hits.length === 1 ? 'hit' : 'hits'}${asOf === null ? '' : `, ${ageOf(asOf)}`}`

const SNIPPET_CHARS = 100
