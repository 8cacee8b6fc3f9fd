/** Settings that hold a secret by their name. Connect knows more of them: those that their plugin declares as passwords. */
export const isSecretName = (key: string): boolean =>
  /(^|[._-])(password|passphrase|secret|token|apikey|api[._-]key|credentials?|private[._-]key|jaas[._-]config)$/i.test(
    key,
  ) || /basic\.auth\.(user\.info)$/i.test(key)

/** Nothing but references to Connect's config providers, which may be shown: `${env:PG_PASSWORD}`. */
export const isReference = (value: string): boolean => /^(\$\{[^}:]+:[^}]+\})+$/.test(value)

/** What a person may see of it. */
export function shownValue(key: string, value: string): string {
  if (isSecretName(key) && !isReference(value)) return HIDDEN
  // What somebody put into an address.
  return value
    .replace(/\/\/[^@/\s"]*@/g, `//${HIDDEN}@`)
    .replace(/([?&;](?:password|token|secret)=)[^&;]*/gi, `$1${HIDDEN}`)
}

const HIDDEN = '(hidden)'
