import assert from 'node:assert/strict'
import { test } from 'node:test'
import { downloadIn } from './download.ts'

test('the sizes of downloads are read from what Maven and pip print', () => {
  const lines = [
    'Downloaded from central: https://maven.example/org/yaml/snakeyaml-2.3.jar (342 kB at 11 MB/s)',
    '  Downloading qdrant_edge_py-0.9.0-cp310-abi3-manylinux_2_28_x86_64.whl (13.8 MB)',
    'Downloading from central: https://maven.example/org/yaml/snakeyaml-2.3.jar',
    '[INFO] BUILD SUCCESS',
  ]

  const found = lines.map(downloadIn)

  assert.deepEqual(found, [
    { what: 'snakeyaml-2.3.jar', bytes: 342_000 },
    { what: 'qdrant_edge_py-0.9.0-cp310-abi3-manylinux_2_28_x86_64.whl', bytes: 13_800_000 },
    null,
    null,
  ])
})
