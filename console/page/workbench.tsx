import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { type Client, FreshetError } from '../../client/client.ts'
import { DocumentForm } from './document-form.tsx'
import { type Draft, draftOf, type Own } from './draft.ts'
import { filterIn } from './pairs.ts'
import { Results } from './results.tsx'
import { SearchBox, type Wish } from './search-box.tsx'
import { Status } from './status.tsx'
import { type Ask, follow, type Shown, searchOnce } from './view.ts'

/** Question and hits on one side, one document on the other. `refused`: the key is no good any more. */
export function Workbench({ client, refused }: { client: Client; refused: (why: string) => void }) {
  const [wish, setWish] = useState<Wish>({ query: '', mode: 'hybrid', k: 10, filter: '', live: false })
  const [shown, setShown] = useState<Shown | null>(null)
  const [fault, setFault] = useState<string | null>(null)
  const [isAsking, setIsAsking] = useState(false)
  /** Counts what was published: an answer that does not stand is asked for again. */
  const [edition, setEdition] = useState(0)
  const [own, setOwn] = useState<Own>(new Map())
  const [chosen, setChosen] = useState<{ readonly draft: Draft } | null>(null)
  const field = useRef<HTMLInputElement>(null)
  const filter = filterIn(wish.filter)
  const query = wish.query.trim()
  const isAsked = query !== '' && 'value' in filter

  useEffect(() => {
    setFault(null)
    setIsAsking(isAsked)
    if (!isAsked) return setShown(null)
    const leaving = new AbortController()
    const { mode, k, live } = wish
    const ask: Ask = { query, mode, k, filter: filter.value }
    const show = (next: Shown) => {
      setShown(next)
      setIsAsking(false)
    }
    const failed = (error: unknown) => {
      if (leaving.signal.aborted) return
      const why = error instanceof Error ? error.message : String(error)
      setIsAsking(false)
      if (error instanceof FreshetError && error.code === 'unauthenticated') refused(why)
      else setFault(why)
    }
    const timer = setTimeout(
      () => (live ? follow : searchOnce)(client, ask, leaving.signal, show).catch(failed),
      TYPING_MS,
    )
    return () => {
      clearTimeout(timer)
      leaving.abort()
    }
  }, [client, query, wish.mode, wish.k, wish.filter, wish.live, wish.live ? 0 : edition])

  // With the page itself, not after it is painted: who sees the field may press the key at once.
  useLayoutEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const inField = event.target instanceof Element && event.target.matches('input, textarea, select')
      if (event.key !== '/' || inField || event.ctrlKey || event.metaKey || event.altKey) return
      event.preventDefault()
      field.current?.focus()
    }
    addEventListener('keydown', pressed)
    return () => removeEventListener('keydown', pressed)
  }, [])

  return (
    <main class="bench">
      <section aria-label="Search" class="search">
        <SearchBox wish={wish} setWish={setWish} field={field} filterFault={'fault' in filter ? filter.fault : null} />
        <Status shown={shown} fault={fault} isAsking={isAsking} isLive={wish.live} isEmpty={query === ''} />
        {shown !== null && (
          <Results
            shown={shown}
            isLive={wish.live}
            isDimmed={fault !== null || shown.trouble !== null}
            draftOf={(hit) => draftOf(hit, own)}
            edit={(draft) => setChosen({ draft })}
          />
        )}
      </section>
      <DocumentForm
        client={client}
        own={own}
        setOwn={setOwn}
        chosen={chosen}
        others={(shown?.hits ?? []).filter((hit) => draftOf(hit, own) === null).map(({ documentId }) => documentId)}
        changed={() => setEdition((each) => each + 1)}
      />
    </main>
  )
}

/** Until whoever types has paused. */
const TYPING_MS = 150
