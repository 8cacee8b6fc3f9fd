import type { DocumentFields } from './files/json-lines.ts'
import type { Ledger } from './files/ledger.ts'
import type { Problem } from './files/list.ts'

/** Where documents come from without Kafka: a folder, a feed, a page, a stream. */
export interface Origin {
  /** What was published from it before. */
  readonly ledger: Ledger
  /** What is there now. Never throws for what it holds. */
  found(): AsyncIterable<Found>
  /** What the ledger knows and was not found is gone. Asked when all was found. */
  readonly isWhole: boolean
  /** Some of what was found may not have been published. */
  failed?(path: string): void
  /** All of what was found is published. */
  completed?(): void
}

export type Found = FoundItem | { readonly problem: Problem; readonly keeps?: string } | { readonly keeps: string }

export interface FoundItem {
  readonly id: string
  /** null: it asks for the deletion of the document. */
  readonly fields: DocumentFields | null
  readonly hash: string
  /** For people: file or address. */
  readonly path: string
}
