/** Whose request or WebSocket it is. */
export interface Admitted {
  readonly requestId: string
  /** The declared path; `-` for what does not exist. */
  readonly route: string
  readonly tenant: string | null
  readonly subject: string | null
  readonly address: string
}

/** What the access log says of a request, or of a handshake: no credential, no query string, no body. */
export interface Access extends Admitted {
  readonly method: string
  readonly status: number
  /** `ok`, or why it went no further. */
  readonly code: string
  readonly ms: number
  /** The instance that answered. */
  readonly origin: string | null
  readonly attempts: number
}
