import type { Content } from '../../../connectors/qdrant/search.ts'
import type { KnownContents } from '../finding.ts'

/** What chunks say that some standing query shows now: held once, and by those alone who show it. */
export class ShownContents implements KnownContents {
  readonly #shown = new Map<string, WeakRef<Content>>()
  readonly #gone = new FinalizationRegistry<string>((id) => {
    if (this.#shown.get(id)?.deref() === undefined) this.#shown.delete(id)
  })

  get(id: string): Content | undefined {
    return this.#shown.get(id)?.deref()
  }

  set(id: string, content: Content): void {
    if (this.#shown.get(id)?.deref() === content) return
    this.#shown.set(id, new WeakRef(content))
    this.#gone.register(content, id)
  }
}
