import { registerHooks } from 'node:module'

/** Loaded before a process of ours: it has no codec but those that kafkajs brings. */
const source = 'export function registerCodecs() {}'

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context)
    if (!found.url.endsWith('/streams/brokers/kafka-codecs.ts')) return found
    return { ...found, url: `data:text/javascript,${encodeURIComponent(source)}`, format: 'module' }
  },
})
