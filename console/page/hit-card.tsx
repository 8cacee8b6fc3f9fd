import { useState } from 'preact/hooks'
import type { HitChange, SearchHit } from '../../client/client.ts'
import type { Draft } from './draft.ts'
import { excerptOf, piecesOf, wordsOf } from './marks.ts'

export function HitCard({
  hit,
  rank,
  share,
  query,
  news,
  draft,
  edit,
}: {
  hit: SearchHit
  rank: number
  /** Of the best score. */
  share: number
  query: string
  news: HitChange<SearchHit>['op'] | undefined
  /** null: it cannot be edited here. */
  draft: Draft | null
  edit: (draft: Draft) => void
}) {
  const [isWhole, setIsWhole] = useState(false)
  const { hitId, documentId, ordinal, title, text, score, attributes, explain } = hit
  const badge = news === undefined ? undefined : NEWS[news]
  const marks = hit.highlights ?? wordsOf(query, text)
  const [from, to] = isWhole ? [0, text.length] : excerptOf(text, marks, EXCERPT_CHARS)
  const isCut = to - from < text.length
  const inPart = marks.map(([start, end]) => [start - from, end - from] as const).filter(([start]) => start >= 0)
  return (
    <li data-hit={hitId} data-news={badge}>
      <div class="heading">
        <span class="rank" aria-hidden="true">
          {rank}
        </span>
        <h3>{title ?? documentId}</h3>
        {badge !== undefined && <span class="badge">{badge}</span>}
      </div>
      <p class={isWhole ? 'text whole' : 'text'}>
        {from > 0 && '… '}
        {piecesOf(text.slice(from, to), inPart).map(({ text: piece, isMarked }) =>
          isMarked ? <mark>{piece}</mark> : piece,
        )}
        {to < text.length && ' …'}
      </p>
      <div class="foot">
        <span class="id">
          {documentId}
          {ordinal > 0 && ` · part ${ordinal + 1}`}
        </span>
        {Object.entries(attributes).map(([name, value]) => (
          <span key={name} class="chip">
            {name}={Array.isArray(value) ? value.join(', ') : String(value)}
          </span>
        ))}
      </div>
      <div class="foot">
        <span class="score">
          <meter min={0} max={1} value={share} aria-label="Score beside the best hit’s" />
          {score.toFixed(4)}
        </span>
        {explain !== undefined && (
          <>
            <Part name="meaning" place={explain.dense} />
            <Part name="keywords" place={explain.keyword} />
          </>
        )}
        <span class="actions">
          {(isCut || isWhole) && (
            <button type="button" class="link" aria-expanded={isWhole} onClick={() => setIsWhole(!isWhole)}>
              {isWhole ? 'Less' : 'Whole text'}
              <span class="hidden"> of {title ?? documentId}</span>
            </button>
          )}
          {draft !== null && (
            <button type="button" class="link" onClick={() => edit(draft)}>
              Edit<span class="hidden"> {documentId}</span>
            </button>
          )}
        </span>
      </div>
    </li>
  )
}

function Part({ name, place }: { name: string; place: { rank: number; score: number } | null }) {
  if (place === null) return <span class="part none">not by {name}</span>
  return (
    <span class="part">
      {name} <b>#{place.rank}</b> {place.score.toFixed(2)}
    </span>
  )
}

/** That it moved is seen, and most have only made room. */
const NEWS = { enter: 'new', update: 'changed', move: undefined, leave: undefined } as const
const EXCERPT_CHARS = 360
