import ort from 'onnxruntime-node'

/** What the runtime may compute on: `cpu` is in the package, the others need its libraries and a device. */
export type Provider = 'cpu' | 'cuda' | 'tensorrt' | 'webgpu' | 'coreml' | 'dml'

export interface SessionSettings {
  readonly onnxPath: string
  /** In the order of preference: the first that works. Without `cpu` at the end there is no falling back to it. */
  readonly providers: readonly Provider[]
}

/** Each is asked for by itself: asked for several at once the runtime leaves out those that do not work, and does not say so. */
export async function openSession({ onnxPath, providers }: SessionSettings): Promise<{
  session: ort.InferenceSession
  provider: Provider
}> {
  const faults: string[] = []
  for (const provider of providers) {
    try {
      const session = await ort.InferenceSession.create(onnxPath, {
        executionProviders: [provider],
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        executionMode: 'sequential',
      })
      return { session, provider }
    } catch (cause) {
      faults.push(`${provider}: ${cause instanceof Error ? cause.message : cause}`)
    }
  }
  throw new Error(`no execution provider works with ${onnxPath}: ${faults.join('; ')}`)
}
