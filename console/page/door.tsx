import { useState } from 'preact/hooks'

/** Asks for a key. `fault`: why the last one was no good. */
export function Door({ fault, open }: { fault: string | null; open: (key: string) => void }) {
  const [text, setText] = useState('')
  return (
    <main class="door">
      <form
        class="panel"
        onSubmit={(event) => {
          event.preventDefault()
          if (text.trim() !== '') open(text.trim())
        }}
      >
        <h2>Open the console</h2>
        <p class="soft" id="key-note">
          Open the link that <code>npm start</code> prints, or paste an API key. It stays in this tab and is gone with
          it.
        </p>
        {fault !== null && (
          <p role="alert" class="notice bad" id="key-fault">
            The key was refused: {fault.replace(/^the credential is not good: /, '')}.
          </p>
        )}
        <label for="key">API key</label>
        <input
          id="key"
          type="password"
          autocomplete="off"
          spellcheck={false}
          placeholder="fk_…"
          required
          value={text}
          aria-invalid={fault !== null && text === ''}
          aria-describedby={fault === null ? 'key-note' : 'key-fault key-note'}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <div class="row end">
          <button type="submit">Open</button>
        </div>
      </form>
    </main>
  )
}
