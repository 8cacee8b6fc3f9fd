import { crc32 } from 'node:zlib'

const entry = 'META-INF/services/org.apache.kafka.connect.storage.Converter'
const provider = 'io.apicurio.registry.utils.converter.AvroConverter\n'

/**
 * A jar with the ServiceLoader manifest that Apicurio's converter comes without, and without which Connect does not find it.
 * One stored entry, laid out by PKWARE's APPNOTE (4.3.6); the same bytes each time.
 */
export function serviceManifestJar(): Buffer {
  const name = Buffer.from(entry)
  const content = Buffer.from(provider)
  const firstOfJanuary1980 = 0x0021
  const shared = Buffer.alloc(26)
  shared.writeUInt16LE(20, 0)
  shared.writeUInt16LE(firstOfJanuary1980, 8)
  shared.writeUInt32LE(crc32(content), 10)
  shared.writeUInt32LE(content.length, 14)
  shared.writeUInt32LE(content.length, 18)
  shared.writeUInt16LE(name.length, 22)
  const local = Buffer.concat([Buffer.from('PK\x03\x04'), shared, name, content])
  const madeBy = Buffer.from([20, 0])
  const central = Buffer.concat([Buffer.from('PK\x01\x02'), madeBy, shared, Buffer.alloc(14), name])
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(1, 8)
  end.writeUInt16LE(1, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(local.length, 16)
  return Buffer.concat([local, central, end])
}
