import type { ErasureReceipt, PlaceReceipt } from '../maintenance/erasure-receipt.ts'

/** The receipt for people: a line for each place, and what is still to be done. */
export function receiptLines(
  { of, documents, complete, open, places, againAfter, nudgeAfter }: ErasureReceipt,
  erased: boolean,
): string[] {
  const wide = Math.max(...places.map(({ place }) => place.length))
  return [
    `${erased ? 'erased' : 'found'}: ${documents} documents of ${of.join(', ')}`,
    ...places.flatMap((place) => [
      `${place.place.padEnd(wide)}  ${stateOf(place, erased)}`,
      ...(place.state === 'empty' ? [] : [`${' '.repeat(wide)}  ${place.why}`]),
    ]),
    ...open.map((each) => `${erased ? 'not done yet' : 'there'}: ${each}`),
    ...(nudgeAfter === null
      ? []
      : [
          `Kafka compacts only where something is written. In a quiet topic run the same command again after ${iso(nudgeAfter)}.`,
        ]),
    ...(againAfter === null
      ? []
      : [
          `The entries in the index that hold the keys alone are removed by the same command after ${iso(againAfter)}.`,
        ]),
    ...(erased
      ? [complete ? 'Nothing of it is served.' : 'It is not complete: run the same command again.']
      : ['Nothing was changed.']),
  ]
}

function stateOf({ state, done, contents, keys, contentsUntil, keysUntil }: PlaceReceipt, erased: boolean): string {
  if (state === 'empty') return 'nothing of it'
  const left = [
    ...(contents > 0 ? [`${contents} records with content${untilOf(contentsUntil)}`] : []),
    ...(keys > 0 ? [`${keys} with the key alone${untilOf(keysUntil)}`] : []),
  ]
  return [erased ? done : null, ...left].filter((part) => part !== null).join('; ') || 'nothing that can be counted'
}

const untilOf = (at: number | null): string => (at === null ? '' : `, gone by ${iso(at)}`)
const iso = (ms: number): string => new Date(ms).toISOString()
