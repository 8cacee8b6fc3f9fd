import type { Shown } from './view.ts'
import { changesInWords, countOf, duration, freshnessOf } from './words.ts'

/** How many, how fast, how fresh, what has changed; and whatever is wrong. */
export function Status({
  shown,
  fault,
  isAsking,
  isLive,
  isEmpty,
}: {
  shown: Shown | null
  fault: string | null
  isAsking: boolean
  isLive: boolean
  /** Nothing is typed. */
  isEmpty: boolean
}) {
  const isFollowing = isLive && shown?.ms === null && shown.trouble === null && fault === null
  const freshness = freshnessOf(shown?.asOf ?? null)
  return (
    <>
      <p role="status" class="status" data-state={isAsking ? 'asking' : isFollowing ? 'following' : 'still'}>
        {isAsking && shown === null && <span>Searching…</span>}
        {shown !== null && (
          <>
            {isFollowing && <span class="live">Live</span>}
            <span>{countOf(shown.hits.length, 'hit')}</span>
            {shown.ms !== null && <span>{duration(shown.ms)}</span>}
            <span class={freshness.isFresh ? 'fresh' : 'stale'}>
              {freshness.text}
              {/* Nothing comes while nothing changes. */}
              {shown.ms === null && ` at ${new Date(shown.at).toLocaleTimeString()}`}
            </span>
            {shown.changes.length > 0 && <span class="changes">{changesInWords(shown.changes)}</span>}
          </>
        )}
      </p>
      {fault !== null && (
        <p role="alert" class="notice bad">
          Not answered: {fault}.
        </p>
      )}
      {shown?.trouble != null && (
        <p role="alert" class="notice">
          {shown.trouble}.
        </p>
      )}
      {isEmpty && (
        <div class="empty">
          <p>Type to search. Turn on Live, and hits come and go as documents change.</p>
          <p class="soft">
            <kbd>/</kbd> goes to the search, <kbd>Esc</kbd> clears it
          </p>
        </div>
      )}
      {shown?.hits.length === 0 && (
        <div class="empty">
          <p>Nothing is found for “{shown.query}”.</p>
        </div>
      )}
    </>
  )
}
