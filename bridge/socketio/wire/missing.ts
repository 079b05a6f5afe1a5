/** Looks for names that a library keeps to itself. */

type Kind = 'function' | 'object' | 'number' | 'boolean'

/** Those of `names` that `owner` does not have as such a kind, as `what.name`; all where there is no owner. */
export function missingIn (what: string, owner: unknown, names: Readonly<Record<string, Kind>>): readonly string[] {
  const found = (owner ?? {}) as Readonly<Record<string, unknown>>
  return Object.entries(names).filter(([name, kind]) => found[name] === null || typeof found[name] !== kind)
    .map(([name]) => `${what}.${name}`)
}
