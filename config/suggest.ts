/** Which known name was meant by an unknown one. */

/** The nearest of `known`, if at most a third of its letters differ; upper and lower case, - and _ count as equal. */
export function closestName (unknown: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Infinity
  const wanted = plain(unknown)
  if (wanted.length > NAME_LENGTH_MAX) return undefined
  for (const name of known) {
    const candidate = plain(name)
    const distance = edits(wanted, candidate)
    if (distance < bestDistance && distance <= Math.max(1, Math.floor(candidate.length / 3))) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

/** `; did you mean x?`, or nothing. A mere part brings up at most three names that hold it: `port`, `expiry`. */
export function didYouMean (unknown: string, known: readonly string[]): string {
  const name = closestName(unknown, known)
  const names = name === undefined ? known.filter((name) => contains(name, unknown)).slice(0, 3) : [name]
  return names.length === 0 ? '' : `; did you mean ${names.join(' or ')}?`
}

function contains (name: string, part: string): boolean {
  const wanted = plain(part)
  return wanted.length >= 4 && plain(name).includes(wanted)
}

const NAME_LENGTH_MAX = 64

function plain (name: string): string {
  return name.toLowerCase().replace(/[-_]/g, '')
}

/** Insertions, deletions, replacements and swaps of neighbours that make one of the other (Damerau, Levenshtein). */
function edits (a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const least = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1))
      next.push(swapped ? Math.min(least, before[j - 2] + 1) : least)
    }
    before = row
    row = next
  }
  return row[b.length]
}
