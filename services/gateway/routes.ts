import type { Scope } from '../principal.ts'

/** Every way in, and where it leads. What is not here does not exist. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** As Fastify has it; a star at the end stands for anything. */
  readonly path: string
  /** What stands for the star is one name, in which an encoded slash is a slash. */
  readonly endsInId: boolean
  /** The body is passed on as it comes, however long it is; everything else is held whole first. */
  readonly streamed: boolean
  readonly to: UpstreamRole
  /** One of these is needed. */
  readonly scopes: readonly Scope[]
  /** It concerns every tenant: only the operators' may. */
  readonly forOperators: boolean
  /** Asking twice does no harm: what was not answered is asked once more, elsewhere. */
  readonly repeatable: boolean
  /** OpenAI's clients read errors in OpenAI's shape. */
  readonly errors: 'problem' | 'openai'
}

export type UpstreamRole = 'query' | 'admin' | 'inference' | 'orchestrator'

const route = (
  method: Route['method'],
  path: string,
  to: UpstreamRole,
  scopes: readonly Scope[],
  {
    repeatable = method === 'GET',
    errors = 'problem',
    forOperators = false,
    endsInId = false,
    streamed = false,
  }: Partial<Pick<Route, 'repeatable' | 'errors' | 'forOperators' | 'endsInId' | 'streamed'>> = {},
): Route => ({ method, path, to, scopes, forOperators, repeatable, errors, endsInId, streamed })

export const routes: readonly Route[] = [
  route('POST', '/v1/search', 'query', ['search'], { repeatable: true }),
  route('GET', '/v1/subscribe', 'query', ['subscribe']),
  route('POST', '/v1/documents', 'query', ['publish']),
  route('POST', '/v1/documents/bulk', 'query', ['publish'], { streamed: true }),
  // Repeated by us, it could come after what somebody else has written since.
  route('PUT', '/v1/documents/*', 'query', ['publish'], { endsInId: true }),
  route('DELETE', '/v1/documents/*', 'query', ['publish'], { endsInId: true }),
  route('POST', '/v1/wait', 'query', ['search', 'publish'], { repeatable: true }),
  route('GET', '/v1/admin/keys', 'admin', ['admin']),
  route('POST', '/v1/admin/keys', 'admin', ['admin']),
  route('DELETE', '/v1/admin/keys/:id', 'admin', ['admin'], { repeatable: true }),
  route('POST', '/v1/admin/erasures', 'admin', ['admin']),
  route('GET', '/v1/admin/status', 'admin', ['admin'], { forOperators: true }),
  route('POST', '/v1/embeddings', 'inference', ['infer'], { repeatable: true, errors: 'openai' }),
  route('POST', '/v1/rerank', 'inference', ['infer'], { repeatable: true }),
  route('GET', '/v2', 'inference', ['infer']),
  route('GET', '/v2/*', 'inference', ['infer']),
  route('POST', '/v2/models/*', 'inference', ['infer'], { repeatable: true }),
  route('POST', '/v2/repository/*', 'inference', ['admin'], { forOperators: true }),
  route('PUT', '/v1/models/*', 'inference', ['admin'], { forOperators: true }),
  route('POST', '/v1/ask', 'orchestrator', ['ask']),
  route('POST', '/v1/chat/completions', 'orchestrator', ['ask'], { errors: 'openai' }),
  route('GET', '/v1/runs/*', 'orchestrator', ['ask']),
  route('POST', '/v1/runs/*', 'orchestrator', ['ask']),
]

/** Where a WebSocket is opened, and what may be done there; each operation needs its own scope. */
export const SOCKET_PATH = '/v1/ws'
export const SOCKET_SCOPES: readonly Scope[] = ['search', 'ask', 'publish', 'subscribe']

/** What the gateway itself serves, to everybody: the page for people. */
export const CONSOLE_PATHS = ['/console', '/console/page.css', '/console/page.js'] as const
