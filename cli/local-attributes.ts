/** What the local stack declares where nobody says otherwise: what `freshet ingest` and the first start give documents, and the pages' examples. */
export const localAttributes = JSON.stringify({
  package: 'keyword',
  version: 'keyword',
  path: 'keyword',
  team: 'keyword',
  tags: 'keyword',
  lang: 'keyword',
  status: 'keyword',
  owner: 'keyword',
  year: 'integer',
  draft: 'boolean',
  published: 'datetime',
})
