/** Vectors that came for texts whose neighbours failed: kept until their caller comes again, so that nobody pays twice. */
export class Salvaged {
  readonly #vectors = new Map<string, Float32Array>()

  keep(as: string, text: string, vector: Float32Array): void {
    this.#vectors.set(`${as} ${text}`, vector)
    // The oldest goes: its caller has not come again.
    if (this.#vectors.size > TEXTS_MAX) this.#vectors.delete(this.#vectors.keys().next().value!)
  }

  take(as: string, text: string): Float32Array | null {
    const key = `${as} ${text}`
    const vector = this.#vectors.get(key) ?? null
    this.#vectors.delete(key)
    return vector
  }

  clear(): void {
    this.#vectors.clear()
  }
}

/** With their texts, a few MB. */
const TEXTS_MAX = 1_024
