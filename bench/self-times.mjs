/** Sums a CPU profile of V8. Rows are `{ name, ms, share }`, most time first; shares are of the time not idle. */

const IDLE = '(idle)'

export function byFunction (profile) {
  return sum(profile, ({ functionName, url, lineNumber }) => {
    const name = functionName || '(anonymous)'
    return url === '' ? name : `${name}  ${shorten(url)}:${lineNumber + 1}`
  })
}

/** By folder of ours, package, or part of Node. */
export function byPlace (profile) {
  return sum(profile, ({ functionName, url }) => {
    if (url === '') return functionName.startsWith('(') ? functionName : '(native functions)'
    if (url.startsWith('node:')) return 'node'
    const path = shorten(url)
    return path.startsWith('dist/') ? path.replace(/\/[^/]*$/, '') : path.split('/')[0]
  })
}

function sum ({ nodes, samples, timeDeltas }, nameOf) {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const micros = new Map()
  // a delta is the time until its sample was taken
  samples.forEach((id, i) => micros.set(names.get(id), (micros.get(names.get(id)) ?? 0) + timeDeltas[i]))
  micros.delete(IDLE)
  const total = [...micros.values()].reduce((all, one) => all + one, 0)
  return [...micros].map(([name, time]) => ({ name, ms: time / 1_000, share: time / total }))
    .sort((a, b) => b.ms - a.ms)
}

function shorten (url) {
  return url.replace(/^.*\/node_modules\//, '').replace(/^.*\/dist\//, 'dist/')
}
