import { isCollection, isNode, LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { shown } from '../clean-characters.ts'
import { type Mapping, mappingShape } from './declaration.ts'

/** The mappings of a file, YAML or JSON: one, or a list. What is wrong is told with file, line, field, value and fix. */
export function readMappings(text: string, file: string): { mappings: Mapping[]; faults: string[] } {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.2' })
  if (document.errors.length > 0)
    return {
      mappings: [],
      faults: document.errors.map(({ message, pos }) => `${file}:${lines.linePos(pos[0]).line}: ${message}`),
    }
  const lineOf = (path: readonly PropertyKey[]): number => {
    for (let length = path.length; length > 0; length--) {
      const node = document.getIn(path.slice(0, length), true)
      if (isNode(node) && node.range) return lines.linePos(node.range[0]).line
    }
    return isCollection(document.contents) ? lines.linePos(document.contents.range?.[0] ?? 0).line : 1
  }
  const given: unknown = document.toJS()
  const isList = Array.isArray(given)
  const mappings: Mapping[] = []
  const faults: string[] = []
  for (const [i, each] of (isList ? given : [given]).entries()) {
    const parsed = mappingShape.safeParse(each)
    if (parsed.success) mappings.push(parsed.data)
    else
      for (const issue of parsed.error.issues.flatMap(innermost)) {
        const path = isList ? [i, ...issue.path] : issue.path
        faults.push(`${file}:${lineOf(path)}: ${inWords(issue, each)}`)
      }
  }
  return { mappings, faults }
}

/** Of several ways to write a field, the one that came furthest says what is wrong. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union') return [issue]
  const ways = issue.errors.map((way) =>
    way.flatMap((each) => innermost({ ...each, path: [...issue.path, ...each.path] })),
  )
  const depth = (way: readonly z.core.$ZodIssue[]) => Math.max(0, ...way.map(({ path }) => path.length))
  const deepest = Math.max(...ways.map(depth))
  const best = ways.filter((way) => depth(way) === deepest).sort((a, b) => a.length - b.length)
  return deepest > issue.path.length || best.length === 1 || best[0]?.[0]?.code === 'custom' ? best[0]! : [issue]
}

function inWords(issue: z.core.$ZodIssue, mapping: unknown): string {
  const name = issue.path.join('.') || 'the mapping'
  if (issue.code === 'unrecognized_keys') {
    const shape = issue.path.length === 0 ? `; there are ${Object.keys(mappingShape.shape).join(', ')}` : ''
    return `${name}: ${issue.keys.join(', ')} is no setting of it${shape}`
  }
  let value: unknown = mapping
  for (const step of issue.path) value = (value as Record<PropertyKey, unknown> | undefined)?.[step]
  if (value === undefined) return `${name}: is missing; add it (${issue.message})`
  const message =
    issue.code === 'invalid_union' ? 'is written in none of the ways that there are; see docs/ingest.md' : issue.message
  return `${name}: ${shown(value)}: ${message}`
}
