export type Requirement = 'node' | 'npm' | 'java' | 'maven' | 'python'
/** What the program prints, or null if it is not there or fails. */
export type Probe = (file: string, args: readonly string[]) => string | null
export function requirePrerequisites(
  names: readonly Requirement[],
  options?: { probe?: Probe; platform?: string },
): void
export function javaFile(env?: Readonly<Record<string, string | undefined>>): string
export function pythonFound(probe?: Probe): { file: string; version: number[] } | null
export function onPath(file: string, env?: Readonly<Record<string, string | undefined>>): boolean
