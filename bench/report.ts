/** One number that is measured, once in each round. */
export interface Figure {
  readonly name: string
  readonly unit: string
  readonly values: readonly number[]
  /** What the number is meant to be; the median is judged. */
  readonly aim?: { readonly atLeast: number } | { readonly below: number }
}

export interface BenchReport {
  readonly name: string
  /** Load average of the last minute, before and after: above the number of cores others were at work too. */
  readonly load: readonly [number, number]
  readonly figures: readonly Figure[]
}

export interface Report {
  readonly at: string
  readonly node: string
  readonly cpus: number
  readonly benches: BenchReport[]
}

/** Figures as they are measured: by name, in the order in which they came first. */
export class Figures {
  readonly #values = new Map<string, { readonly unit: string; readonly values: number[] }>()

  add(name: string, unit: string, value: number): void {
    const present = this.#values.get(name)
    if (present === undefined) this.#values.set(name, { unit, values: [value] })
    else present.values.push(value)
  }

  all(): Figure[] {
    return [...this.#values].map(([name, each]) => ({ name, ...each }))
  }
}

/** The figures for people: median, least and most, aim. */
export function table({ name, load, figures }: BenchReport): string {
  const rows = figures.map((figure) => {
    const { values, unit, aim } = figure
    const spread = values.length > 1 ? `${shown(Math.min(...values))} – ${shown(Math.max(...values))}` : ''
    const wanted = aim === undefined ? '' : 'atLeast' in aim ? `≥ ${aim.atLeast}` : `< ${aim.below}`
    return [figure.name, `${shown(median(values))} ${unit}`, spread, wanted, holds(figure)]
  })
  const head = ['', 'median', 'least – most', 'aim', '']
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]!.length)))
  const line = (row: readonly string[]) => `  ${row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ')}`.trimEnd()
  const loads = load.map((each) => each.toFixed(1)).join(' → ')
  return [`${name} (load average ${loads})`, line(head), ...rows.map(line)].join('\n')
}

function holds({ values, aim }: Figure): string {
  if (aim === undefined) return ''
  const met = 'atLeast' in aim ? median(values) >= aim.atLeast : median(values) < aim.below
  return met ? 'holds' : 'missed'
}

const shown = (value: number): string =>
  Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2)

export const median = (values: readonly number[]): number => percentile(values, 50)

/** Between the two nearest values, in proportion. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const at = ((sorted.length - 1) * percent) / 100
  const below = sorted[Math.floor(at)] ?? Number.NaN
  const above = sorted[Math.ceil(at)] ?? Number.NaN
  return below + (above - below) * (at - Math.floor(at))
}
