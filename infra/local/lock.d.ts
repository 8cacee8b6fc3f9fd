export function lock(path: string, waiting?: (holder: number) => void): Promise<() => void>
export function tryLock(
  path: string,
): { release: () => void; holder?: undefined } | { holder: number; release?: undefined }
export function identityOf(pid: number): string | null
export function commandLineOf(pid: number): string | null
