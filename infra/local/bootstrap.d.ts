interface LockedPackage {
  readonly version?: string
  readonly integrity?: string
  readonly optional?: boolean
  readonly devOptional?: boolean
  readonly peer?: boolean
  readonly link?: boolean
}
type LockedPackages = Readonly<Record<string, LockedPackage>>
export function bootstrap(options: { entry: string; args: readonly string[]; needsStack: boolean }): Promise<void>
export function runsTypeScript(version: string): boolean
export function packagesMatch(wanted: LockedPackages, found: LockedPackages): boolean
