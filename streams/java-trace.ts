/** Of a Java stack trace, the line that says why: the innermost cause, with what failed around it where that says more. */
export function causeOf(trace: string): string {
  const lines = trace.split('\n').map((line) => line.trim())
  const heads = lines.filter((line) => line.startsWith('Caused by: ')).map((line) => line.slice('Caused by: '.length))
  const cause = heads.at(-1) ?? lines.find((line) => line !== '') ?? 'nothing is said'
  return withoutPackage(cause).slice(0, CAUSE_CHARS_MAX)
}

const withoutPackage = (line: string): string => line.replace(/^(?:[a-z_][\w$]*\.)+([A-Z][\w$]*)/, '$1')

const CAUSE_CHARS_MAX = 600
