import { denseName, sparseName } from '../../connectors/qdrant/points.ts'
import { parseFence } from '../../processors/fence.ts'
import { kindOf, type Point } from '../index-points.ts'
import { type DerivedChunk, ordered } from './derive.ts'
import type { History, Revision } from './history.ts'
import type { Checked, Finding, Invariant, World } from './world.ts'

export interface Served extends Checked {
  /** Chunks that nobody is shown and nothing needs. */
  readonly garbage: readonly string[]
  readonly chunks: number
  readonly documents: number
}

/** I1, I2 and I10 at rest: what a search may show equals F(latest acknowledged record of each key), and nothing else does. */
export function checkServed(world: World, { revisions }: History): Served {
  const findings: Finding[] = []
  const found = (invariant: Invariant, what: string) => findings.push({ invariant, what })
  const manifests = Map.groupBy(
    world.points.filter((point) => kindOf(point) === 'manifest'),
    ({ payload }) => String(payload.key),
  )
  const chunks = world.points.filter((point) => kindOf(point) === 'chunk')
  const isServed = ({ payload: { key, fence } }: Point) =>
    (manifests.get(String(key)) ?? []).some(({ payload }) => payload.deleted !== true && payload.content === fence)
  const served = Map.groupBy(chunks.filter(isServed), ({ payload }) => String(payload.key))
  const compared = { I1: 0, I2: 0, I10: 0 }

  for (const point of world.points) {
    const { kind, key, tenant } = point.payload
    if (!['manifest', 'chunk', 'marker'].includes(String(kind)))
      found('I2', `point ${point.id} is no chunk, manifest or marker`)
    if (kind !== 'manifest' && kind !== 'chunk') continue
    compared.I10++
    if (tenant !== String(key).split('/')[0]) found('I10', `${nameOf(point)} is shown to the tenant ${tenant}`)
  }
  for (const [key, own] of manifests) {
    if (own.length > 1) found('I2', `${key} has ${own.length} manifests`)
    if (!revisions.has(key)) found('I2', `orphan: ${key} has a manifest, and nobody sent it`)
  }
  for (const [key, own] of revisions) {
    const latest = own.at(-1)!
    const expected = latest.derived?.chunks ?? []
    const actual = Map.groupBy(served.get(key) ?? [], ({ payload }) => Number(payload.ordinal))
    const manifest = manifests.get(key)?.[0]?.payload
    compared.I2++
    if (latest.derived === null && actual.size > 0) {
      found('I2', `orphan: ${key} is ${latest.rejected === null ? 'deleted' : 'rejected'}, and served`)
      continue
    }
    if (latest.derived === null) continue
    if (manifest === undefined || actual.size === 0) {
      found('I2', `missing: ${key} is not served at all`)
      continue
    }
    if (isBehind(manifest, latest))
      found('I2', `stale: ${key} is served by ${manifest.fence}, and the latest is ${latest.offset}`)
    if (manifest.pipeline !== latest.derived.pipeline)
      found('I1', `${key} is made by ${manifest.pipeline}, and F is ${latest.derived.pipeline}`)
    if (manifest.chunks !== expected.length)
      found('I2', `the manifest of ${key} says ${manifest.chunks} chunks, and F gives ${expected.length}`)
    for (const [ordinal, chunk] of expected.entries()) {
      const points = actual.get(ordinal) ?? []
      compared.I1++
      if (points.length === 0) found('I2', `missing: ${key}#${ordinal}`)
      if (points.length > 1) found('I2', `duplicate: ${key}#${ordinal} is served ${points.length} times`)
      for (const point of points) findings.push(...compare(chunk, point, world))
    }
    for (const ordinal of actual.keys()) if (!(ordinal in expected)) found('I2', `orphan: ${key}#${ordinal}`)
  }
  for (const key of served.keys()) if (!revisions.has(key)) found('I2', `orphan: ${key} is served, and nobody sent it`)
  return {
    findings,
    compared,
    garbage: chunks.filter((point) => !isServed(point)).map(nameOf),
    chunks: chunks.filter(isServed).length,
    documents: served.size,
  }
}

const nameOf = ({ payload: { kind, key, ordinal, fence } }: Point): string =>
  kind === 'chunk' ? `${key}#${ordinal} of ${fence}` : `the manifest of ${key}`

const isBehind = ({ fence }: Readonly<Record<string, unknown>>, { offset }: Revision): boolean =>
  offset !== null && (parseFence(String(fence))?.offset ?? -1) < offset

function compare(expected: DerivedChunk, { payload, vectors }: Point, { engine, cosineMin }: World): Finding[] {
  const name = `${payload.key}#${payload.ordinal}`
  const findings: Finding[] = []
  for (const field of ['start', 'end', 'text', 'hash', 'title', 'url', 'checksum'] as const) {
    // Other bytes of a vector have another checksum.
    if (field === 'checksum' && cosineMin !== undefined) continue
    if (payload[field] !== expected[field])
      findings.push({
        invariant: 'I1',
        what: `${name} differs in ${field}: ${shown(payload[field])}, and F gives ${shown(expected[field])}`,
      })
  }
  if (JSON.stringify(ordered(payload.attributes)) !== JSON.stringify(expected.attributes))
    findings.push({ invariant: 'I1', what: `${name} differs in attributes: ${shown(payload.attributes)}` })
  // Absent where everyone of the tenant is shown it.
  if (JSON.stringify(payload.acl ?? null) !== JSON.stringify(expected.acl))
    findings.push({ invariant: 'I10', what: `${name} is shown to ${shown(payload.acl)}, not ${shown(expected.acl)}` })
  const dense = denseName(engine.space.id)
  const wanted = [dense, sparseName(engine.space.id)]
  const names = Object.keys(vectors).sort()
  if (names.join() !== wanted.sort().join())
    findings.push({
      invariant: 'I1',
      what: `${name} has the vectors ${names.join(', ') || 'none'}, and the space has ${wanted.join(', ')}`,
    })
  for (const vector of wanted) {
    if (vectors[vector] === undefined || vectors[vector] === expected.vectors[vector]) continue
    const near = vector === dense ? cosine(vectors[vector], expected.vectors[vector]!) : -1
    if (near < (cosineMin ?? Number.POSITIVE_INFINITY))
      findings.push({
        invariant: 'I1',
        what: `${name} has another vector ${vector}${vector === dense ? ` (cosine ${near.toFixed(4)})` : ''}`,
      })
  }
  return findings
}

function cosine(a: string, b: string): number {
  const [x, y] = [floatsOf(a), floatsOf(b)]
  if (x.length !== y.length) return -1
  const dot = x.reduce((sum, each, i) => sum + each * y[i]!, 0)
  return dot / (Math.hypot(...x) * Math.hypot(...y) || 1)
}

const floatsOf = (told: string): number[] =>
  Array.from(new Float32Array(new Uint8Array(Buffer.from(told.trim(), 'hex')).buffer))

const shown = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 60)
