import { random } from '../random.ts'

/** Numbers that look random and are a function of the seed. */
export interface Chance {
  /** 0 ≤ x < 1. */
  next(): number
  /** A whole number, 0 ≤ n < bound. */
  below(bound: number): number
  hits(share: number): boolean
  pick<T>(from: readonly T[]): T
}

export function chanceOf(...seeds: readonly number[]): Chance {
  const next = random(seeds.reduce(mixed, 0x9e3779b9))
  const below = (bound: number) => Math.floor(next() * bound)
  return { next, below, hits: (share) => next() < share, pick: (from) => from[below(from.length)]! }
}

/** One step of a hash of 32 bits (murmur3's, by Austin Appleby, public domain). */
export function mixed(hash: number, value: number): number {
  let k = Math.imul(value | 0, 0xcc9e2d51)
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593)
  const h = hash ^ k
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}

export function textHash(hash: number, text: string): number {
  let h = hash
  for (let i = 0; i < text.length; i++) h = mixed(h, text.charCodeAt(i))
  return h
}
