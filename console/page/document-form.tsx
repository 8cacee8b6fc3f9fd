import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Client, PublishItem } from '../../client/client.ts'
import { type Draft, EMPTY, itemOf, type Own, published } from './draft.ts'
import { duration } from './words.ts'

/** One document: publish, edit, delete, and see how long it takes to be found. */
export function DocumentForm({
  client,
  own,
  setOwn,
  chosen,
  others,
  changed,
}: {
  client: Client
  own: Own
  setOwn: (change: (own: Own) => Own) => void
  /** What is to be edited; a new object each time. */
  chosen: { readonly draft: Draft } | null
  /** Documents that are shown and that nobody here knows whole. */
  others: readonly string[]
  changed: () => void
}) {
  const [draft, setDraft] = useState<Draft>(EMPTY)
  const [said, setSaid] = useState<{ readonly text: string; readonly isBad: boolean } | null>(null)
  const [isBusy, setIsBusy] = useState(false)
  const [isSure, setIsSure] = useState(false)
  const textField = useRef<HTMLTextAreaElement>(null)
  const id = draft.id.trim()
  const set = (field: keyof Draft) => (event: { currentTarget: { value: string } }) => {
    const { value } = event.currentTarget
    setDraft((before) => ({ ...before, [field]: value }))
    setIsSure(false)
  }

  // Before anything else can be typed.
  useLayoutEffect(() => {
    if (chosen === null) return
    setDraft(chosen.draft)
    setSaid(null)
    setIsSure(false)
    textField.current?.focus()
  }, [chosen])

  const send = async (item: PublishItem) => {
    setIsBusy(true)
    setIsSure(false)
    setSaid({ text: `Sending ${item.id}…`, isBad: false })
    const began = performance.now()
    try {
      const { documents } = await client.publish([item], { ack: 'indexed' })
      const outcome = documents[0]!
      const isBad = outcome.outcome === 'rejected'
      const seen = 'delete' in item ? 'gone from search' : 'found by search'
      setOwn((before) => published(before, draft, outcome))
      const after = isBad
        ? (outcome.reason ?? 'no reason is told')
        : `${seen} ${duration(performance.now() - began)} after it was sent`
      setSaid({ text: `${item.id}: ${outcome.outcome}${isBad ? ': ' : ', '}${after}`, isBad })
    } catch (error) {
      setSaid({ text: `${item.id}: ${error instanceof Error ? error.message : String(error)}`, isBad: true })
    } finally {
      setIsBusy(false)
      changed()
    }
  }
  const publish = () => {
    const item = itemOf(draft)
    if ('fault' in item) setSaid({ text: item.fault, isBad: true })
    else void send(item.value)
  }

  return (
    <section aria-labelledby="document-title" class="panel document" id="document">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          publish()
        }}
      >
        <div class="row">
          <h2 id="document-title">{own.has(id) ? 'Edit a document' : 'Publish a document'}</h2>
          {draft !== EMPTY && (
            <button
              type="button"
              class="link"
              onClick={() => {
                setDraft(EMPTY)
                setSaid(null)
                setIsSure(false)
              }}
            >
              Clear
            </button>
          )}
        </div>
        <label for="id">Id</label>
        <input
          id="id"
          required
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          placeholder="returns"
          value={draft.id}
          onInput={set('id')}
        />
        <label for="title">Title</label>
        <input id="title" autocomplete="off" value={draft.title} onInput={set('title')} />
        <label for="text">Text</label>
        <textarea id="text" ref={textField} required rows={7} value={draft.text} onInput={set('text')} />
        <label for="attributes">Attributes</label>
        <input
          id="attributes"
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          placeholder="team=support year=2024"
          value={draft.attributes}
          onInput={set('attributes')}
        />
        <label for="groups">Groups that are shown it</label>
        <input
          id="groups"
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          placeholder="everyone of the tenant"
          aria-describedby="groups-note"
          value={draft.groups}
          onInput={set('groups')}
        />
        <p class="soft small" id="groups-note">
          With commas between.
        </p>
        {others.includes(id) && (
          <p class="notice small">
            {id} was not published in this tab, so its whole text and its groups are not known here. Publishing replaces
            both.
          </p>
        )}
        <div class="row end">
          {isSure ? (
            <>
              {/* First, where the other button was: a second press in haste does no harm. */}
              <button type="button" class="quiet" onClick={() => setIsSure(false)}>
                Keep it
              </button>
              <button type="button" class="danger" disabled={isBusy} onClick={() => void send({ id, delete: true })}>
                Delete {id}
              </button>
            </>
          ) : (
            <>
              <button type="button" class="quiet" disabled={isBusy || id === ''} onClick={() => setIsSure(true)}>
                Delete…
              </button>
              <button type="submit" disabled={isBusy}>
                Publish
              </button>
            </>
          )}
        </div>
        <p role="status" class={said?.isBad ? 'said bad' : 'said'}>
          {said?.text}
        </p>
      </form>
      {own.size > 0 && (
        <div class="own">
          <h3>Published in this tab</h3>
          <ul>
            {[...own].map(([each, { draft: known }]) => (
              <li key={each}>
                <button
                  type="button"
                  class="chip"
                  onClick={() => {
                    setDraft(known)
                    setSaid(null)
                    textField.current?.focus()
                  }}
                >
                  {each}
                </button>
              </li>
            ))}
          </ul>
        </div>
      )}
    </section>
  )
}
