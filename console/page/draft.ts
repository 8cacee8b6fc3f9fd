import type { DocumentOutcome, PublishItem, SearchHit } from '../../client/client.ts'
import { attributesIn, type Read } from './pairs.ts'

/** A document as it is typed. */
export interface Draft {
  readonly id: string
  readonly title: string
  readonly text: string
  readonly attributes: string
  /** With commas between. None: everyone of the tenant is shown it. */
  readonly groups: string
}

export const EMPTY: Draft = { id: '', title: '', text: '', attributes: '', groups: '' }

export function itemOf({ id, title, text, attributes, groups }: Draft): Read<PublishItem> {
  const read = attributesIn(attributes)
  if ('fault' in read) return { fault: `Attributes: ${read.fault}` }
  const acl = groups
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')
  return {
    value: {
      id: id.trim(),
      text,
      ...(title.trim() !== '' && { title: title.trim() }),
      ...(Object.keys(read.value).length > 0 && { attributes: read.value }),
      ...(acl.length > 0 && { acl }),
    },
  }
}

/** What this tab has published, and where it lies in `documents`. */
export type Own = ReadonlyMap<string, { readonly draft: Draft; readonly offset: number }>

/** What it knows after a publish. What was rejected or overtaken is not what is there. */
export function published(own: Own, draft: Draft, { outcome, offset }: DocumentOutcome): Own {
  const after = new Map(own)
  if (outcome === 'rejected' || outcome === 'superseded' || outcome === 'deleted') after.delete(draft.id.trim())
  else after.set(draft.id.trim(), { draft, offset })
  return after
}

/**
 * The whole document that a hit is of; null: nobody here knows it. A hit has neither the whole text nor the groups of its document, and
 * publishing replaces both, so only what this tab itself published can be edited, and only until somebody else replaces it.
 */
export function draftOf({ documentId, revision }: Pick<SearchHit, 'documentId' | 'revision'>, own: Own): Draft | null {
  const known = own.get(documentId)
  return known !== undefined && Number(revision.split(':')[1]) <= known.offset ? known.draft : null
}
