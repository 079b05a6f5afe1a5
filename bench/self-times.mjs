/** Sums a CPU profile of V8. Rows are `{ name, ms, share }`, most time first; shares are of the time not idle. */

const IDLE = '(idle)'

/** Time in the function itself. */
export function byFunction (profile) {
  return rows(profile, profile.nodes, ({ callFrame }) => [functionName(callFrame)])
}

/** Time in the function and in all that it called. */
export function byFunctionAndBelow (profile) {
  const parents = new Map(profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node])))
  return rows(profile, profile.nodes, (node) => {
    const names = new Set() // a function that calls itself counts once
    for (let at = node; at !== undefined; at = parents.get(at.id)) names.add(functionName(at.callFrame))
    names.delete('(root)')
    return names
  })
}

/** By folder of ours, package, or part of Node. */
export function byPlace (profile) {
  return rows(profile, profile.nodes, ({ callFrame: { functionName, url } }) => {
    if (url === '') return [functionName.startsWith('(') ? functionName : '(native functions)']
    if (url.startsWith('node:')) return ['node']
    const path = shorten(url)
    return [path.startsWith('dist/') ? path.replace(/\/[^/]*$/, '') : path.split('/')[0]]
  })
}

/** The part of a profile between two readings of the monotonic clock, in microseconds. */
export function cut (profile, fromMicros, toMicros) {
  const samples = []
  const timeDeltas = []
  let at = profile.startTime
  profile.samples.forEach((id, i) => {
    at += profile.timeDeltas[i]
    if (at < fromMicros || at > toMicros) return
    samples.push(id)
    timeDeltas.push(profile.timeDeltas[i])
  })
  return { ...profile, samples, timeDeltas }
}

/** @param namesOf (node) the names that its time counts for */
function rows ({ samples, timeDeltas }, nodes, namesOf) {
  const own = new Map()
  // a delta is the time until its sample was taken
  samples.forEach((id, i) => own.set(id, (own.get(id) ?? 0) + timeDeltas[i]))
  const micros = new Map()
  let total = 0
  for (const node of nodes) {
    const time = own.get(node.id)
    if (time === undefined || node.callFrame.functionName === IDLE) continue
    total += time
    for (const name of namesOf(node)) micros.set(name, (micros.get(name) ?? 0) + time)
  }
  return [...micros].map(([name, time]) => ({ name, ms: time / 1_000, share: time / total }))
    .sort((a, b) => b.ms - a.ms)
}

function functionName ({ functionName, url, lineNumber }) {
  const name = functionName || '(anonymous)'
  return url === '' ? name : `${name}  ${shorten(url)}:${lineNumber + 1}`
}

function shorten (url) {
  return url.replace(/^.*\/node_modules\//, '').replace(/^.*\/dist\//, 'dist/')
}
