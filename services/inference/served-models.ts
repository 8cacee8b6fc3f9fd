import type { LoadedModel } from '../../engine/loaded-model.ts'
import {
  type EmbeddingModel,
  type Model,
  type ModelDeclaration,
  servedVersions,
  versionOfModel,
  versionsOf,
} from '../../engine/repository/declaration.ts'
import { nameOf } from '../../engine/repository/model-files.ts'
import { referenceOf, versionMeant } from '../../engine/repository/reference.ts'
import { reasonOf } from '../../streams/errors.ts'
import { Admission, type AdmissionBounds } from './admission.ts'
import { Refused } from './refused.ts'
import { routedVersion } from './traffic.ts'

/** A version that answers. */
export interface Served {
  readonly loaded: LoadedModel
  readonly admission: Admission
  /** Requests that are under way: it is not unloaded before they have ended. */
  inFlight: number
}

export type VersionState = 'READY' | 'LOADING' | 'UNLOADING' | 'UNAVAILABLE'

export interface VersionRow {
  readonly name: string
  readonly version: string
  readonly state: VersionState
  readonly reason: string
  readonly labels: readonly string[]
}

export interface ServedPorts {
  /** As the folder has it now. @throws for what nobody declares, or declares wrongly. */
  declaration(name: string): ModelDeclaration
  load(model: EmbeddingModel): Promise<LoadedModel>
  readonly bounds: AdmissionBounds
  readonly now: () => number
  told(model: string, what: 'loaded' | 'unloaded' | 'failed', reason?: string): void
}

/**
 * The versions of models that are loaded here. What is declared is followed: a version more is loaded beside the others, and one that is not
 * served any more is unloaded when those that are to be served answer. A version that cannot be loaded changes nothing for the others.
 */
export class ServedModels {
  readonly #ports: ServedPorts
  readonly #names: Set<string>
  readonly #served = new Map<string, Served & { readonly key: string }>()
  readonly #declared = new Map<string, ModelDeclaration>()
  readonly #failed = new Map<string, { readonly key: string; readonly reason: string; readonly at: number }>()
  readonly #leaving = new Map<string, Promise<void>>()
  #loading: string | null = null
  #last: Promise<void> = Promise.resolve()

  constructor(names: readonly string[], ports: ServedPorts) {
    this.#names = new Set(names)
    this.#ports = ports
  }

  /** The version that serves this caller. @throws Refused with what there is. */
  pick(reference: string, sticky: (by: 'tenant' | 'session') => string): Served {
    const meant = parsedReference(reference)
    const declaration = this.#declared.get(meant.name)
    if (declaration === undefined) throw new Refused('not_found', this.#nothingCalled(meant.name), { param: 'model' })
    const isOpen = meant.version === null && meant.label === null
    const { traffic } = declaration
    const routed = isOpen && traffic !== undefined ? routedVersion(traffic, sticky(traffic.sticky)) : null
    const version = routed ?? this.#versionOf(declaration, meant)
    const served =
      this.#served.get(nameOf({ name: meant.name, version })) ?? (isOpen ? this.#newest(declaration) : null)
    if (served) return served
    const { reason = 'it is being loaded' } = this.#failed.get(nameOf({ name: meant.name, version })) ?? {}
    const others = this.ready.filter((each) => each.startsWith(`${meant.name}@`))
    const message = `${meant.name}@${version} does not serve: ${reason}; ${others.length > 0 ? `${others.join(', ')} does` : 'no version of it does'}`
    throw new Refused('unavailable', message, { retryAfterMs: 5_000, param: 'model' })
  }

  /** The version that gets a copy of what is asked without a version. */
  shadow(name: string): Served | null {
    const shadow = this.#declared.get(name)?.traffic?.shadow ?? null
    return shadow === null ? null : (this.#served.get(nameOf({ name, version: shadow })) ?? null)
  }

  get ready(): string[] {
    return [...this.#served.keys()]
  }

  get all(): Served[] {
    return [...this.#served.values()]
  }

  declaration(name: string): ModelDeclaration {
    const declaration = this.#declared.get(name)
    if (declaration === undefined) throw new Refused('not_found', this.#nothingCalled(name), { param: 'model' })
    return declaration
  }

  isReady(name: string, version: number | null): boolean {
    if (version !== null) return this.#served.has(nameOf({ name, version }))
    return this.ready.some((each) => each.startsWith(`${name}@`))
  }

  /** What keeps the service from answering; null: every model has a version that serves. */
  missing(): string | null {
    const silent = [...this.#names].filter((name) => !this.isReady(name, null))
    if (silent.length === 0) return null
    const reasons = silent.map((name) => {
      const failed = [...this.#failed].find(([each]) => each.startsWith(`${name}@`))
      return failed === undefined ? `the model ${name} is not loaded yet` : failed[1].reason
    })
    return reasons.join('; ')
  }

  rows(): VersionRow[] {
    return [...this.#declared.values()].flatMap((declaration) =>
      versionsOf(declaration).map((version) => {
        const { name } = declaration
        const id = nameOf({ name, version })
        const labels = Object.entries(declaration.labels).flatMap(([label, of]) => (of === version ? [label] : []))
        const shared = { name, version: String(version), labels }
        const failed = this.#failed.get(id)
        if (failed !== undefined) return { ...shared, state: 'UNAVAILABLE' as const, reason: failed.reason }
        if (this.#served.has(id)) return { ...shared, state: 'READY' as const, reason: '' }
        if (this.#loading === id) return { ...shared, state: 'LOADING' as const, reason: '' }
        if (this.#leaving.has(id)) return { ...shared, state: 'UNLOADING' as const, reason: '' }
        return { ...shared, state: 'UNAVAILABLE' as const, reason: 'it is not served' }
      }),
    )
  }

  /** Serves this model too, and tries again what failed. Resolves when it is done. @throws Refused if no version of it can be loaded. */
  async add(name: string): Promise<void> {
    try {
      this.#ports.declaration(name)
    } catch (cause) {
      throw new Refused('not_found', reasonOf(cause), { param: 'model', cause })
    }
    this.#names.add(name)
    for (const id of [...this.#failed.keys()]) if (id.startsWith(`${name}@`)) this.#failed.delete(id)
    await this.follow()
    const failed = [...this.#failed].find(([id]) => id.startsWith(`${name}@`))
    if (failed !== undefined) throw new Refused('unavailable', `${failed[0]} could not be loaded: ${failed[1].reason}`)
  }

  async remove(name: string): Promise<void> {
    if (!this.#names.delete(name)) throw new Refused('not_found', this.#nothingCalled(name), { param: 'model' })
    await this.follow()
    await Promise.all(this.#leaving.values())
  }

  /** Makes what is loaded what is declared; one at a time, whoever asks. */
  follow(): Promise<void> {
    this.#last = this.#last.then(() => this.#follow())
    return this.#last
  }

  /** Its threads are gone for good: it is loaded anew. */
  lost(served: Served): void {
    for (const [id, each] of this.#served) if (each === served) this.#unload(id, each)
    void this.follow()
  }

  async close(): Promise<void> {
    this.#names.clear()
    await this.follow()
    await Promise.all(this.#leaving.values())
  }

  async #follow(): Promise<void> {
    const wanted = new Map<string, EmbeddingModel>()
    for (const name of this.#names) for (const model of this.#wantedOf(name)) wanted.set(nameOf(model), model)
    for (const [id, model] of wanted) await this.#load(id, model)
    // What serves goes on until all that is to serve in its place does.
    const behind = new Set([...wanted.values()].filter((model) => !this.#isServing(model)).map(({ name }) => name))
    for (const [id, served] of this.#served)
      if (!wanted.has(id) && !behind.has(served.loaded.model.name)) this.#unload(id, served)
    for (const name of [...this.#declared.keys()]) if (!this.#names.has(name)) this.#declared.delete(name)
  }

  #wantedOf(name: string): EmbeddingModel[] {
    try {
      const declaration = this.#ports.declaration(name)
      this.#declared.set(name, declaration)
      return servedVersions(declaration)
        .map((version) => versionOfModel(declaration, version))
        .filter((model): model is EmbeddingModel => model.task === 'embed')
    } catch (error) {
      // A declaration that cannot be read changes nothing.
      this.#ports.told(name, 'failed', reasonOf(error))
      return [...this.#served.values()].map(({ loaded }) => loaded.model).filter((model) => model.name === name)
    }
  }

  #isServing(model: Model): boolean {
    return this.#served.get(nameOf(model))?.key === JSON.stringify(model)
  }

  async #load(id: string, model: EmbeddingModel): Promise<void> {
    const key = JSON.stringify(model)
    const failed = this.#failed.get(id)
    const isFresh = failed?.key === key && this.#ports.now() - failed.at < TRY_AGAIN_MS
    if (this.#isServing(model) || isFresh) return
    this.#loading = id
    try {
      const loaded = await this.#ports.load(model)
      const before = this.#served.get(id)
      this.#served.set(id, { loaded, admission: new Admission(this.#ports.bounds), inFlight: 0, key })
      this.#failed.delete(id)
      this.#ports.told(id, 'loaded')
      if (before !== undefined) this.#leave(id, before)
    } catch (error) {
      const reason = reasonOf(error)
      this.#failed.set(id, { key, reason, at: this.#ports.now() })
      this.#ports.told(id, 'failed', reason)
    } finally {
      this.#loading = null
    }
  }

  #unload(id: string, served: Served): void {
    this.#served.delete(id)
    this.#leave(id, served)
  }

  #leave(id: string, served: Served): void {
    const left = drained(served)
      .then(() => served.loaded.close())
      .finally(() => {
        this.#leaving.delete(id)
        this.#ports.told(id, 'unloaded')
      })
    this.#leaving.set(id, left)
  }

  #versionOf(declaration: ModelDeclaration, meant: ReturnType<typeof referenceOf>): number {
    try {
      return versionMeant(declaration, meant)
    } catch (cause) {
      throw new Refused('not_found', reasonOf(cause), { param: 'model', cause })
    }
  }

  #newest(declaration: ModelDeclaration): Served | null {
    for (const version of versionsOf(declaration)) {
      const served = this.#served.get(nameOf({ name: declaration.name, version }))
      if (served) return served
    }
    return null
  }

  #nothingCalled(name: string): string {
    return `no model is called ${JSON.stringify(name)}; there are: ${this.ready.join(', ') || 'none yet'}`
  }
}

function parsedReference(reference: string): ReturnType<typeof referenceOf> {
  try {
    return referenceOf(reference)
  } catch (cause) {
    throw new Refused('bad_request', reasonOf(cause), { param: 'model', cause })
  }
}

/** What was asked before is answered. */
async function drained(served: Served): Promise<void> {
  const until = performance.now() + DRAIN_MS_MAX
  while (served.inFlight > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 20))
}

const DRAIN_MS_MAX = 10_000
const TRY_AGAIN_MS = 30_000
