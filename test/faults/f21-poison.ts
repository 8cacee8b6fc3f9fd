import type { Row } from './row.ts'

const rounds = { fast: 6, full: 30 }
const MOVES_ON_SECONDS_MAX = 5

/** One dead letter each, with the untouched bytes; the oracle compares them. The partition moves on. */
export const poison: Row = {
  id: 'F21',
  title: 'every second record can never succeed, in a dozen ways',
  sets: ['fast', 'full'],
  needs: { poison: 0.5 },
  async run({ set, load, healed, count, expect }) {
    for (let round = 0; round < rounds[set]; round++) {
      await load.write(60)
      const seconds = await healed({ what: 'seconds until the partitions had moved on' })
      if (set === 'full')
        expect(
          seconds <= MOVES_ON_SECONDS_MAX,
          `the partitions had moved on after ${seconds.toFixed(1)} s, and ${MOVES_ON_SECONDS_MAX} is the bound`,
        )
    }
    count('records that can never succeed', load.sent.filter(({ meant }) => meant.kind === 'poison').length)
  },
}
