import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { arch, cpus, platform } from 'node:os'

/** What decides the bytes of a vector beside the model: in the same environment they are the same. */
export function environmentOf(provider: string): string {
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string }
  const processor = cpus()[0]?.model ?? 'unknown processor'
  return `onnxruntime-node ${version}, ${provider}, ${platform()} ${arch()}, ${processor}, ${instructions()}`
}

/** A hypervisor may hide some instructions of a processor, and kernels are chosen by them. */
function instructions(): string {
  try {
    const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? ''
    return `instructions ${createHash('sha256').update(flags.trim()).digest('hex').slice(0, 8)}`
  } catch {
    return 'instructions unknown'
  }
}
