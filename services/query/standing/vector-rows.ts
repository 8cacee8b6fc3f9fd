/** Vectors side by side in one block of memory, each with the score from which on another one is near. Rows have numbers, given by whoever asks. */
export class VectorRows {
  readonly #dimensions: number
  #matrix: Float32Array
  /** Of a row that has no vector nothing is near. */
  #scoresMin: Float64Array

  constructor(dimensions: number) {
    this.#dimensions = dimensions
    this.#matrix = new Float32Array(dimensions * ROWS_FIRST)
    this.#scoresMin = new Float64Array(ROWS_FIRST).fill(Number.POSITIVE_INFINITY)
  }

  set(row: number, vector: Float32Array, scoreMin: number): void {
    if (row >= this.#scoresMin.length) this.#grow(row + 1)
    this.#matrix.set(vector, row * this.#dimensions)
    this.#scoresMin[row] = scoreMin - ROUNDING
  }

  clear(row: number): void {
    if (row < this.#scoresMin.length) this.#scoresMin[row] = Number.POSITIVE_INFINITY
  }

  isNear(row: number, vector: Float32Array): boolean {
    // Said this way round so that a score that is no number is near.
    return row < this.#scoresMin.length && !(this.#scoreOf(row, vector) < this.#scoresMin[row]!)
  }

  /** Calls it with each row that the vector is near to. */
  near(vector: Float32Array, found: (row: number) => void): void {
    const scoresMin = this.#scoresMin
    for (let row = 0; row < scoresMin.length; row++) {
      const scoreMin = scoresMin[row]!
      if (scoreMin === Number.POSITIVE_INFINITY) continue
      if (!(this.#scoreOf(row, vector) < scoreMin)) found(row)
    }
  }

  /** In four sums, so that no addition waits for the one before it. */
  #scoreOf(row: number, vector: Float32Array): number {
    const dimensions = this.#dimensions
    const matrix = this.#matrix
    const whole = dimensions - (dimensions % 4)
    let at = row * dimensions
    let [a, b, c, d] = [0, 0, 0, 0]
    for (let i = 0; i < whole; i += 4, at += 4) {
      a += matrix[at]! * vector[i]!
      b += matrix[at + 1]! * vector[i + 1]!
      c += matrix[at + 2]! * vector[i + 2]!
      d += matrix[at + 3]! * vector[i + 3]!
    }
    for (let i = whole; i < dimensions; i++, at++) a += matrix[at]! * vector[i]!
    return a + b + c + d
  }

  /** By a quarter, so that little more is held than is needed. */
  #grow(rows: number): void {
    const size = Math.max(rows, Math.ceil(this.#scoresMin.length * 1.25))
    const matrix = new Float32Array(size * this.#dimensions)
    matrix.set(this.#matrix)
    this.#matrix = matrix
    const scoresMin = new Float64Array(size).fill(Number.POSITIVE_INFINITY)
    scoresMin.set(this.#scoresMin)
    this.#scoresMin = scoresMin
  }
}

const ROWS_FIRST = 16
/** More than the sums of two programs over the same unit vectors differ by. */
const ROUNDING = 1e-4
