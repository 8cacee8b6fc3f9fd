/** Where tests that need Kafka find it. */
export const ADDRESS = process.env.FRESHET_KAFKA ?? `127.0.0.1:${Number(process.env.FRESHET_PORT_BASE ?? 18_000) + 92}`
