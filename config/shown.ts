/** Values from outside, in lines that people read. */

/** A value from outside as it can be shown in a line: quoted, without control characters, not too long. */
export function shown (value: unknown): string {
  if (typeof value === 'string' && value.length > SHOWN_CHARS_MAX) return shown(value.slice(0, SHOWN_CHARS_MAX)) + '...'
  const unshowable = typeof value === 'bigint' || typeof value === 'function' || typeof value === 'symbol'
  const text = unshowable ? typeof value : JSON.stringify(value) ?? 'nothing'
  return text.length > SHOWN_CHARS_MAX ? text.slice(0, SHOWN_CHARS_MAX) + '...' : text
}

const SHOWN_CHARS_MAX = 80
