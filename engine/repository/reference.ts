import { z } from 'zod'

export const modelName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,99}$/, 'may hold small letters, digits, dots, underscores and hyphens')

/** How a model is asked for: `name`, `name@3`, `name:canary`. */
export interface Reference {
  readonly name: string
  readonly version: number | null
  readonly label: string | null
}

/** @throws on what is none of the three. */
export function referenceOf(text: string): Reference {
  const found = /^([a-z0-9][a-z0-9._-]{0,99})(?:@([1-9]\d{0,8})|:([a-z][a-z0-9-]{0,31}))?$/.exec(text)
  if (found === null)
    throw new Error(`${JSON.stringify(text.slice(0, 120))} names no model; write NAME, NAME@VERSION or NAME:LABEL`)
  const [, name = '', version, label] = found
  return { name, version: version === undefined ? null : Number(version), label: label ?? null }
}

interface Versions {
  readonly name: string
  readonly labels: Readonly<Record<string, number>>
  readonly versions: Readonly<Record<string, unknown>>
}

/** The version that is meant. Without version and label: what is labelled `stable`, else the newest. @throws with what there is. */
export function versionMeant({ name, labels, versions }: Versions, { version, label }: Reference): number {
  const all = Object.keys(versions).map(Number)
  if (version !== null) {
    if (all.includes(version)) return version
    throw new Error(`the model ${name} has no version ${version}; there are: ${all.join(', ')}`)
  }
  const labelled = labels[label ?? 'stable']
  if (labelled !== undefined) return labelled
  if (label === null) return Math.max(...all)
  const there = Object.entries(labels).map(([each, of]) => `${each} (version ${of})`)
  throw new Error(`the model ${name} has no label ${label}; there are: ${there.join(', ') || 'none'}`)
}
