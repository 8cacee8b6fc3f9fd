/**
 * Environment of every role, where it is not set otherwise. glibc gives each thread an arena of its own, and V8 and the model have many: what a
 * storm of connections had needed stayed with the query service (about 400 MiB, of which nothing was held). Two give it back.
 */
export const allocatorEnv = { MALLOC_ARENA_MAX: process.env.MALLOC_ARENA_MAX ?? '2' }
