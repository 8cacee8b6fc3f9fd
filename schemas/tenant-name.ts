/** What a tenant may be called: the part of a document's key before the first slash. */
export const TENANT_NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/

/** How a fault of a tenant's name is put. */
export const TENANT_NAME_IN_WORDS = 'must be 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit'

export const isTenantName = (name: unknown): name is string => typeof name === 'string' && TENANT_NAME.test(name)
