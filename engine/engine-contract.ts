import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Engine } from './embedder.ts'

const document = `# Offsets

A consumer commits the offsets of what it has read. After a rebalance the next owner of the partition goes on from there.

# Retention

Segments that are older than the topic's retention are deleted, whether anyone has read them or not. ${'It is so. '.repeat(120)}`

/** What every engine promises, whatever makes its vectors. */
export function engineContract(name: string, create: () => Promise<Engine>): void {
  describe(name, () => {
    let engine: Engine
    before(async () => {
      engine = await create()
    })
    after(() => engine.close())

    test('a vector has the dimensions of the space and length one', async () => {
      const vectors = await engine.embed(['commits offsets', '', ' ', '😀', 'x'.repeat(5_000)], { as: 'document' })

      for (const vector of vectors) {
        assert.equal(vector.length, engine.space.dimensions)
        assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-5)
      }
    })

    test('a text has the same vector, to the byte, whatever it is embedded with', async () => {
      const texts = (await engine.split(document)).map((chunk) => chunk.text)

      const together = await engine.embed(texts, { as: 'document' })
      const reversed = await engine.embed(texts.toReversed(), { as: 'document' })
      const alone = await engine.embed([texts[0]!], { as: 'document' })

      assert.deepEqual(reversed.toReversed(), together)
      assert.deepEqual(alone, [together[0]])
    })

    test('a question is nearest to the text that answers it', async () => {
      const [offsets, retention] = await engine.embed(
        ['A consumer commits the offsets of what it has read.', 'Old segments of the topic are deleted.'],
        { as: 'document' },
      )

      const [question] = await engine.embed(['who commits offsets?'], { as: 'query' })

      assert.ok(dot(question!, offsets!) > dot(question!, retention!))
    })

    test('no texts have no vectors', async () => {
      assert.deepEqual(await engine.embed([], { as: 'document' }), [])
    })

    test('chunks are slices of the text, in order, and a heading starts one', async () => {
      const chunks = await engine.split(document)

      for (const [ordinal, chunk] of chunks.entries()) {
        assert.deepEqual(chunk, {
          ordinal,
          start: chunk.start,
          end: chunk.end,
          text: document.slice(chunk.start, chunk.end),
        })
      }
      assert.ok(chunks.length > 1)
      assert.ok(chunks.some((chunk) => chunk.text.startsWith('# Retention')) || chunks[0]!.text.includes('# Retention'))
      assert.deepEqual(await engine.split(''), [])
    })

    test('a document and a question share terms', () => {
      const { indices } = engine.documentTerms(document, null)

      assert.ok(engine.queryTerms('committed offset', 'en').indices.every((index) => indices.includes(index)))
    })

    test('a call that is aborted is rejected with the reason', async () => {
      const signal = AbortSignal.abort(new Error('revoked'))

      const embedding = engine.embed(['text'], { as: 'document', signal })

      await assert.rejects(embedding, { message: 'revoked' })
    })

    test('it counts the texts and their tokens', async () => {
      const before = engine.stats()

      await engine.embed(['one', 'two'], { as: 'document' })
      await engine.embed(['three'], { as: 'query' })

      const after = engine.stats()
      assert.equal(after.texts - before.texts, 3)
      assert.ok(after.tokens - before.tokens >= 3)
      assert.ok(after.runMs > before.runMs)
      assert.equal(after.queued, 0)
    })

    test('its fingerprint and its space are in the form that records carry', () => {
      assert.match(engine.fingerprint!, /^[0-9a-f]{64}$/)
      assert.match(engine.space.id, /^es_[0-9a-f]{16}$/)
    })

    test('a closed engine refuses', async () => {
      const closed = await create()

      await closed.close()
      await closed.close()

      await assert.rejects(closed.embed(['text'], { as: 'document' }), { message: 'the engine is closed' })
    })
  })
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, d) => sum + value * b[d]!, 0)
}
