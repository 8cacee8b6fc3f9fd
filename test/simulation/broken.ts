/** A promise of the product that was seen broken. */
export class Broken extends Error {
  readonly promise: string
  constructor(promise: string, detail: string) {
    super(`${promise}: ${detail}`)
    this.promise = promise
  }
}
