/**
 * What failed, out of the TAP of a file: the names it stands under, and its assertion with its differences.
 */
const DIAGNOSTIC_LINES_MAX = 40

/** One text for each assertion that failed; of a subtest that only passes on what failed in it, none. */
export function failuresOf (lines) {
  const failures = []
  const path = []
  for (let at = 0; at < lines.length; at++) {
    const subtest = /^( *)# Subtest: (.*)/.exec(lines[at])
    if (subtest !== null) {
      const depth = Math.floor(subtest[1].length / 4)
      path.length = Math.max(0, depth - 1)
      path[Math.max(0, depth - 1)] = subtest[2]
      continue
    }
    const point = /^( *)not ok \d+ - (.*)/.exec(lines[at])
    if (point === null || /# (SKIP|TO[D]O)/i.test(point[2])) continue
    const depth = Math.floor(point[1].length / 4)
    const name = point[2].replace(/ # time=.*/, '')
    if (depth === 0 && failures.length > 0) continue // the file
    if (path[depth - 1] === name && hasFailedWithin(failures, path, depth)) continue
    const where = path.slice(0, Math.max(0, depth - 1)).filter(part => part !== undefined && part !== name)
    failures.push({ path: [...where, name], text: diagnostic(lines, at + 1) })
  }
  return failures.map(({ path, text }) => [path.join(' > '), ...text].join('\n'))
}

function hasFailedWithin (failures, path, depth) {
  return failures.some(failure => failure.path.includes(path[depth - 1]))
}

/** The YAML behind a point, without where it was called from in tap and in Node. */
function diagnostic (lines, at) {
  if (lines[at]?.trim() !== '---') return []
  const end = lines.findIndex((line, index) => index > at && line.trim() === '...')
  const all = lines.slice(at + 1, end < 0 ? at + DIAGNOSTIC_LINES_MAX : end).filter(line => line.trim() !== '')
  const left = all.length - DIAGNOSTIC_LINES_MAX
  return left > 0 ? [...all.slice(0, DIAGNOSTIC_LINES_MAX), `   ... and ${left} lines more`] : all
}
