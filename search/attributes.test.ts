import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type AttributeType,
  attributeTypes,
  DECLARED_MAX,
  declarationIn,
  filterFaults,
  typeFaults,
  undeclaredIn,
} from './attributes.ts'
import { type Filter, filterSchema } from './filter.ts'

const { declared } = declarationIn({
  team: 'keyword',
  year: 'integer',
  ratio: 'number',
  draft: 'boolean',
  published: 'datetime',
})

test('a declaration is an object or its JSON', () => {
  const fromText = declarationIn('{"team":"keyword","year":"integer"}')
  const fromObject = declarationIn({ team: 'keyword', year: 'integer' })

  assert.deepEqual(fromText.faults, [])
  assert.deepEqual([...fromText.declared], Object.entries({ team: 'keyword', year: 'integer' }))
  assert.deepEqual(fromObject, fromText)
})

test('all faults of a declaration are told at once', () => {
  const many = Object.fromEntries(Array.from({ length: DECLARED_MAX + 1 }, (_, i) => [`a${i}`, 'keyword']))
  const atBound = Object.fromEntries(Object.entries(many).slice(1))

  assert.deepEqual(declarationIn({ '7th': 'keyword', team: 'text', year: 1, fine: 'number' }).faults, [
    '"7th" is not the name of an attribute',
    'team is "text", which is no type; give one of keyword, integer, number, boolean, datetime',
    'year is 1, which is no type; give one of keyword, integer, number, boolean, datetime',
  ])
  for (const none of ['team=keyword', '[]', 'null', '"keyword"', 7])
    assert.match(declarationIn(none).faults.join(), /^is no JSON object; give names with their types, like \{/)
  assert.deepEqual(declarationIn(many).faults, ['there are 65 attributes, more than 64'])
  assert.deepEqual(declarationIn(atBound).faults, [])
})

const values: readonly (readonly [unknown, readonly AttributeType[]])[] = [
  ['support', ['keyword']],
  [['a', 'b'], ['keyword']],
  [[], ['keyword', 'datetime']],
  ['2024', ['keyword']],
  [2024, ['integer', 'number']],
  [-0.5, ['number']],
  [2 ** 53, ['number']],
  [true, ['boolean']],
  ['2026-11-24', ['keyword', 'datetime']],
  ['2026-11-24T08:00:00.123456789+01:00', ['keyword', 'datetime']],
  [
    ['2026-11-24', '2026-11-24 08:00'],
    ['keyword', 'datetime'],
  ],
  [['2026-11-24', 'soon'], ['keyword']],
  ['2026-02-29', ['keyword']],
  ['2026-11-24T24:00:00Z', ['keyword']],
  ['2026-11-24T08:00:00+0100', ['keyword']],
]

for (const [value, types] of values)
  test(`${JSON.stringify(value)} is ${types.join(' and ')}, and no other type`, () => {
    const of = (type: AttributeType) => typeFaults({ it: value }, declarationIn({ it: type }).declared)

    assert.deepEqual(
      attributeTypes.filter((type) => of(type).length === 0),
      types,
    )
  })

test('a fault of a type says the name, both types, the value and what to send', () => {
  const document = { year: '2024', draft: 1, team: false, published: ['soon'], ratio: 'x'.repeat(100), colour: 'blue' }

  assert.deepEqual(typeFaults(document, declared), [
    'attributes.year: is text ("2024") and year is declared as integer; send a whole number of at most 9007199254740991',
    'attributes.draft: is a number (1) and draft is declared as boolean; send true or false',
    'attributes.team: is a boolean (false) and team is declared as keyword; send a text or a list of texts',
    'attributes.published: is a list of texts (["soon"]) and published is declared as datetime; send a date like 2026-11-24 or 2026-11-24T08:00:00Z, or a list of them',
    `attributes.ratio: is text ("${'x'.repeat(59)}…) and ratio is declared as number; send a number`,
  ])
})

test('names that are on every object are declared no more than others', () => {
  const document = JSON.parse('{"__proto__":"x","constructor":1,"team":"a"}') as Record<string, unknown>

  assert.deepEqual(typeFaults(document, declared), [])
  assert.deepEqual(undeclaredIn([document, { colour: 1 }, { colour: 2, team: 'b' }], declared), [
    '__proto__',
    'colour',
    'constructor',
  ])
})

const answered: readonly Filter[] = [
  {},
  { team: 'support' },
  { team: { in: ['a', 'b'] } },
  { team: { not: 'a' } },
  { year: 2024 },
  { year: { in: [2024, 2025.5] } },
  { year: { gte: 2024, lt: 2025.5 } },
  { ratio: { not: 1 } },
  { ratio: { gt: 0.5 } },
  { draft: false },
  { draft: { in: [true, false] } },
  { published: { gte: '2026-01-01T00:00:00Z' } },
  { $and: [{ team: 'a' }], $or: [{ year: 1 }, { draft: true }], $not: { ratio: 1 } },
  ...[...declared.keys()].map((name): Filter => ({ [name]: { exists: true } })),
]

for (const filter of answered)
  test(`${JSON.stringify(filter)} is answered`, () => {
    assert.deepEqual(filterFaults(filterSchema.parse(filter), declared), [])
  })

const allDeclared = 'declared are team (keyword), year (integer), ratio (number), draft (boolean), published (datetime)'
const refused: readonly (readonly [Filter, readonly string[]])[] = [
  [
    { colour: 'blue' },
    [
      `filter.colour: is not declared, so nothing can be filtered by it; declare it in FRESHET_ATTRIBUTES, like {"colour":"keyword"}; ${allDeclared}`,
    ],
  ],
  [
    { constructor: { exists: true } } as unknown as Filter,
    [
      `filter.constructor: is not declared, so nothing can be filtered by it; declare it in FRESHET_ATTRIBUTES, like {"constructor":"keyword"}; ${allDeclared}`,
    ],
  ],
  [{ team: { gte: 1 } }, ['filter.team: asks for bounds of numbers and team is declared as keyword; ask for a text']],
  [{ team: 7 }, ['filter.team: asks for a number (7) and team is declared as keyword; ask for a text']],
  [
    { team: { in: ['a', true] } },
    ['filter.team: asks for a boolean (true) and team is declared as keyword; ask for a text'],
  ],
  [
    { year: { not: '2024' } },
    [
      'filter.year: asks for text ("2024") and year is declared as integer; ask for a number, or for bounds like {"gte":1}',
    ],
  ],
  [
    { ratio: { lt: '2026-01-01T00:00:00Z' } },
    [
      'filter.ratio: asks for bounds of dates and ratio is declared as number; ask for a number, or for bounds like {"gte":1}',
    ],
  ],
  [
    { draft: { lte: 1 } },
    ['filter.draft: asks for bounds of numbers and draft is declared as boolean; ask for true or false'],
  ],
  [
    { published: '2026-01-01T00:00:00Z' },
    [
      'filter.published: asks for text ("2026-01-01T00:00:00Z") and published is declared as datetime; ask for bounds like {"gte":"2026-11-24T08:00:00Z"}',
    ],
  ],
  [
    { $or: [{ team: 'a' }, { $and: [{ $not: { team: true } }] }], $not: { year: 'x' } },
    [
      'filter.$or.1.$and.0.$not.team: asks for a boolean (true) and team is declared as keyword; ask for a text',
      'filter.$not.year: asks for text ("x") and year is declared as integer; ask for a number, or for bounds like {"gte":1}',
    ],
  ],
]

for (const [filter, faults] of refused)
  test(`${JSON.stringify(filter)} is refused, and told why`, () => {
    assert.deepEqual(filterFaults(filterSchema.parse(filter), declared), faults)
  })

test('where nothing is declared the example fits what was asked for', () => {
  const none = new Map()
  const example = (filter: Filter) => /like (\{.*?\});/.exec(filterFaults(filter, none).join())?.[1]

  assert.deepEqual(
    [{ a: 'x' }, { a: 1 }, { a: 0.5 }, { a: true }, { a: { gt: '2026-01-01T00:00:00Z' } }].map(example),
    ['keyword', 'integer', 'number', 'boolean', 'datetime'].map((type) => `{"a":"${type}"}`),
  )
  assert.match(filterFaults({ a: 1 }, none).join(), /; declared is none$/)
})
