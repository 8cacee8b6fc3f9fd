import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { zstdCompress, zstdDecompress } from 'node:zlib'
import kafkajs from 'kafkajs'
import { compressFrame, decompressFrame } from 'lz4-napi'

const { CompressionCodecs, CompressionTypes } = kafkajs

interface Encoded {
  readonly buffer: Buffer
}

/** Guard K7: a batch in an unregistered codec would stop a consumer for good, so all that Kafka knows are registered at start (gzip is built in). */
export function registerCodecs(): void {
  CompressionCodecs[CompressionTypes.Snappy] = createRequire(import.meta.url)('kafkajs-snappy') as () => unknown
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: ({ buffer }: Encoded) => compressFrame(buffer),
    decompress: (bytes: Buffer) => decompressFrame(bytes),
  })
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: ({ buffer }: Encoded) => promisify(zstdCompress)(buffer),
    decompress: (bytes: Buffer) => promisify(zstdDecompress)(bytes),
  })
}
