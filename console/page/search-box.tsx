import type { RefObject } from 'preact'
import type { Ask } from './view.ts'

/** What is asked, as it is typed. */
export interface Wish {
  readonly query: string
  readonly mode: Ask['mode']
  readonly k: number
  readonly filter: string
  readonly live: boolean
}

export function SearchBox({
  wish,
  setWish,
  field,
  filterFault,
}: {
  wish: Wish
  setWish: (wish: Wish) => void
  field: RefObject<HTMLInputElement>
  filterFault: string | null
}) {
  const { query, mode, k, filter, live } = wish
  return (
    <search>
      <label for="query" class="hidden">
        Search
      </label>
      <div class="field">
        <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
          <circle cx="8.5" cy="8.5" r="5.5" />
          <path d="m13 13 4.5 4.5" />
        </svg>
        <input
          id="query"
          ref={field}
          type="search"
          autocomplete="off"
          maxlength={QUERY_CHARS_MAX}
          placeholder="What do you want to know?"
          aria-keyshortcuts="/"
          value={query}
          onInput={(event) => setWish({ ...wish, query: event.currentTarget.value })}
          onKeyDown={(event) => event.key === 'Escape' && setWish({ ...wish, query: '' })}
        />
        <kbd>/</kbd>
      </div>
      <div class="controls">
        <fieldset class="modes">
          <legend class="hidden">How to search</legend>
          {MODES.map(([value, name]) => (
            <label key={value}>
              <input
                type="radio"
                name="mode"
                checked={mode === value}
                onChange={() => setWish({ ...wish, mode: value })}
              />
              <span>{name}</span>
            </label>
          ))}
        </fieldset>
        <label class="inline">
          Hits
          <select value={k} onChange={(event) => setWish({ ...wish, k: Number(event.currentTarget.value) })}>
            {[5, 10, 20, 50].map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
        <label class="inline grows">
          Filter
          <input
            type="text"
            spellcheck={false}
            autocomplete="off"
            autocapitalize="off"
            placeholder="team=support"
            value={filter}
            aria-invalid={filterFault !== null}
            aria-describedby={filterFault === null ? undefined : 'filter-fault'}
            onInput={(event) => setWish({ ...wish, filter: event.currentTarget.value })}
          />
        </label>
        <label class="switch">
          <input
            type="checkbox"
            role="switch"
            aria-checked={live}
            checked={live}
            onChange={(event) => setWish({ ...wish, live: event.currentTarget.checked })}
          />
          Live
        </label>
      </div>
      {filterFault !== null && (
        <p role="alert" class="notice bad" id="filter-fault">
          Filter: {filterFault}.
        </p>
      )}
    </search>
  )
}

const MODES: readonly (readonly [Ask['mode'], string])[] = [
  ['hybrid', 'Hybrid'],
  ['dense', 'Meaning'],
  ['keyword', 'Keywords'],
]
/** As the protocol has it. */
const QUERY_CHARS_MAX = 8_192
