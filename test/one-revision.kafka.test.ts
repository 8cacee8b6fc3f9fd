import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { SearchAnswer } from '../client/client.ts'
import { differences } from './oracle/platform-world.ts'
import { openPlatform } from './platform.ts'
import { random } from './random.ts'

const platform = await openPlatform()
after(() => platform[Symbol.asyncDispose]())
await Promise.all([platform.worker(), platform.query()])
const [writer, reader] = [await platform.client(), await platform.client()]

const seed = Number(process.env.FRESHET_SEED ?? 20261124)
const versions = 45
/** Sentences of a version; each chunk names its version. */
const textOf = (version: number, sentences: number): string =>
  Array.from({ length: sentences }, (_, i) => `Version ${version} of the ledger, line ${i}, holds nothing else.`).join(
    ' ',
  )

test(`a reader who polls while a document is replaced sees whole revisions only, and never goes back (seed ${seed})`, async (t) => {
  const next = random(seed)
  const lengths = Array.from({ length: versions }, () => 1 + Math.floor(next() * 700))
  const chunksOf = new Map(
    await Promise.all(
      lengths.map(
        async (sentences, version) => [version, await platform.engine.split(textOf(version, sentences))] as const,
      ),
    ),
  )
  // Others, so that the document is not alone in the lists that it is found in.
  await writer.publish(
    Array.from({ length: 20 }, (_, i) => ({ id: `other-${i}`, text: `Other ledger ${i} with a line of its own.` })),
    { ack: 'indexed' },
  )
  const writing = { done: false }

  const [answers] = await Promise.all([poll(writing), replace(lengths).finally(() => (writing.done = true))])

  const seen = answers.map(({ hits }) => revisionOf(hits.filter(({ documentId }) => documentId === 'ledger')))
  const faults = seen.flatMap((each, i) => (each.fault === null ? [] : [`answer ${i}: ${each.fault}`]))
  assert.deepEqual(faults.slice(0, 10), [], `${faults.length} of ${answers.length} answers`)
  const first = seen.findIndex(({ offset }) => offset !== null)
  const vanished = seen.slice(first).filter(({ offset }) => offset === null)
  assert.equal(vanished.length, 0, 'the document was not there for a moment while it was replaced')
  const order = seen.flatMap(({ offset }) => (offset === null ? [] : [offset]))
  assert.deepEqual(
    order,
    order.toSorted((a, b) => a - b),
  )
  const distinct = new Set(order).size
  assert.ok(distinct > 10, `only ${distinct} versions of ${versions} were seen in ${answers.length} answers`)
  t.diagnostic(`${answers.length} answers, ${distinct} versions of ${versions} seen`)
  assert.deepEqual(await differences(platform), { served: [], garbage: [] })

  function revisionOf(hits: SearchAnswer['hits']): { offset: number | null; fault: string | null } {
    if (hits.length === 0) return { offset: null, fault: null }
    const revisions = [...new Set(hits.map(({ revision }) => revision))]
    const versionsSeen = [...new Set(hits.map(({ text }) => Number(/Version (\d+)/.exec(text)?.[1])))]
    const offset = Number(revisions[0]!.split(':')[1])
    if (revisions.length > 1 || versionsSeen.length > 1)
      return { offset, fault: `a mix of ${revisions.join(' and ')}, versions ${versionsSeen.join(' and ')}` }
    const chunks = chunksOf.get(versionsSeen[0]!)!
    const missing = chunks.filter(
      ({ ordinal, text }) => !hits.some((hit) => hit.ordinal === ordinal && hit.text === text),
    )
    if (missing.length > 0 || hits.length !== chunks.length)
      return { offset, fault: `${hits.length} of the ${chunks.length} chunks of version ${versionsSeen[0]}` }
    return { offset, fault: null }
  }
})

async function poll(writing: { readonly done: boolean }): Promise<SearchAnswer[]> {
  const answers: SearchAnswer[] = []
  while (!writing.done) answers.push(await reader.search({ query: 'version of the ledger, line', k: 100 }))
  answers.push(await reader.search({ query: 'version of the ledger, line', k: 100 }))
  return answers
}

/** Each version waits for the one before only now and then, so that some arrive together. */
async function replace(lengths: readonly number[]): Promise<void> {
  for (const [version, sentences] of lengths.entries()) {
    const ack = version % 3 === 0 ? 'indexed' : 'accepted'
    await writer.publish([{ id: 'ledger', text: textOf(version, sentences) }], { ack })
  }
  await writer.publish([{ id: 'ledger', text: textOf(0, lengths[0]!) }], { ack: 'indexed' })
}
