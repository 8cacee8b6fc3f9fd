/** What may import what: from what runs to what is known. ARCHITECTURE.md has the picture. */
const folder = (...names) => `^(${names.join('|')})/`
const never = (name, from, to, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from, pathNot: '\\.test\\.ts$' },
  to: { path: to, dependencyTypesNot: ['core'] },
})

module.exports = {
  forbidden: [
    never(
      'streams-imports-nothing-of-ours',
      folder('streams'),
      '^(?!streams/|node_modules/)[^/]+/',
      'streams/ could be published on its own tomorrow',
    ),
    never(
      'schemas-import-streams-only',
      folder('schemas'),
      '^(?!schemas/|streams/|node_modules/)[^/]+/',
      'schemas say what flows, not what happens to it',
    ),
    never(
      'processors-do-no-io',
      folder('processors'),
      '^(?!processors/|streams/|schemas/|engine/|search/|node_modules/)[^/]+/',
      'a processor names the ports it needs',
    ),
    never(
      'engine-knows-no-kafka',
      folder('engine'),
      '^(?!engine/|streams/errors|node_modules/)[^/]+/',
      'text to vectors, nothing else',
    ),
    never(
      'search-is-pure',
      folder('search'),
      '^(?!search/|schemas/|streams/|node_modules/)[^/]+/',
      'the oracle imports it too',
    ),
    never(
      'connectors-are-edges',
      folder('connectors'),
      folder('services', 'cli', 'infra', 'maintenance'),
      'an edge knows no service',
    ),
    never(
      'maintenance-does-no-io',
      folder('maintenance'),
      '^(?!maintenance/|processors/|streams/|schemas/|engine/|search/|node_modules/)[^/]+/',
      'maintenance names the ports it needs, as processors do',
    ),
    never(
      'console-is-a-client',
      folder('console'),
      '^(?!console/|client/|node_modules/)[^/]+/',
      'what it can do, any page can do with the SDK',
    ),
    {
      name: 'console-is-served-by-the-gateway',
      severity: 'error',
      comment: 'nothing else knows that there is a page',
      from: { pathNot: ['^console/', '^services/gateway/', '\\.test\\.ts$', '^test/'] },
      to: { path: '^console/' },
    },
    never(
      'services-meet-over-a-socket',
      '^services/([^/]+)/',
      '^services/(?!\\$1/)[^/]+/',
      'services meet only over a topic or a socket',
    ),
    {
      name: 'one-kafka-client',
      severity: 'error',
      comment: 'only the broker port imports the Kafka client',
      // But the example of what not to do, and the operator in a fault who changes topics behind our back.
      from: {
        pathNot: ['^streams/brokers/kafka', '^node_modules/', '^test/naive/', '^test/faults/topic-surgery\\.ts$'],
      },
      to: { path: '^node_modules/kafkajs' },
    },
    {
      name: 'one-way-outside',
      severity: 'error',
      comment: 'services/outside.ts alone opens Kafka, the registry and Qdrant: it puts the credentials in',
      from: { path: folder('services', 'cli'), pathNot: ['^services/outside\\.ts$', '\\.test\\.ts$'] },
      to: {
        path: '^(streams/brokers/kafka\\.ts|streams/registry\\.ts|connectors/qdrant/client\\.ts)$',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^\\.freshet' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.tsx', '.js', '.json'],
      conditionNames: ['import', 'node', 'default'],
      exportsFields: ['exports'],
    },
  },
}
