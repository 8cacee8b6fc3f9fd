/** Vectors of a point as Qdrant tells them, as the bytes that they were written from: little endian, 32 bits each. */
type VectorsOutput =
  | { case: 'vector'; value: VectorOutput }
  | { case: 'vectors'; value: { vectors: Record<string, VectorOutput> } }
  | { case: undefined; value?: undefined }

interface VectorOutput {
  readonly data: number[]
  readonly indices?: { readonly data: readonly number[] } | undefined
  readonly vector: { case?: string | undefined; value?: unknown }
}

/** null: there is none of this name. */
export function denseOf(options: VectorsOutput | undefined, name: string): Buffer | null {
  const output = outputOf(options, name)
  if (output === undefined) return null
  return floats(output.vector.case === 'dense' ? (output.vector.value as { data: number[] }).data : output.data)
}

/** A sparse vector without any index is not told: none is the same as an empty one. */
export function sparseOf(options: VectorsOutput | undefined, name: string): { indices: Buffer; values: Buffer } {
  const output = outputOf(options, name)
  if (output === undefined) return { indices: Buffer.alloc(0), values: Buffer.alloc(0) }
  const { values, indices } =
    output.vector.case === 'sparse'
      ? (output.vector.value as { values: number[]; indices: number[] })
      : { values: output.data, indices: output.indices?.data ?? [] }
  return { indices: Buffer.from(Uint32Array.from(indices).buffer), values: floats(values) }
}

const outputOf = (options: VectorsOutput | undefined, name: string): VectorOutput | undefined =>
  options?.case === 'vectors' ? options.value.vectors[name] : undefined

const floats = (numbers: readonly number[]): Buffer => Buffer.from(Float32Array.from(numbers).buffer)
