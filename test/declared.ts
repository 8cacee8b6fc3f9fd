import { type DeclaredAttributes, declarationIn } from '../search/attributes.ts'

/** What the documents of these tests are filtered by, as FRESHET_ATTRIBUTES has it. */
export const declaredInTests = JSON.stringify({
  acl: 'keyword',
  kind: 'keyword',
  legs: 'integer',
  loud: 'boolean',
  n: 'integer',
  number: 'integer',
  place: 'keyword',
  public: 'boolean',
  tags: 'keyword',
  team: 'keyword',
  tenant: 'keyword',
  year: 'integer',
})

export const declaredAttributes: DeclaredAttributes = declarationIn(declaredInTests).declared
