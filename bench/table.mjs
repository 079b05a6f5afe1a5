/** Results as Markdown, and into the document they belong to. */
import { readFileSync, writeFileSync } from 'node:fs'
import { peersOf } from './peers/index.mjs'
import { median } from './statistics.mjs'

const BEGIN = '<!-- bench:begin -->'
const END = '<!-- bench:end -->'
/** What a table is about, and what is to be said of its load. */
const PROTOCOLS = [
  ['mqtt', 'MQTT', ''],
  ['socketio', 'Socket.IO', ' Clients speak Engine.IO 4 over WebSocket; emitters send to rooms, ask for an ack each ' +
    'time and have at most 50 unanswered emits. Holdfast acks when the event is on disk; the pings are those that ' +
    'prove what was received.']
]

/** Replaces what is between the markers of the document; the prose around it stays. */
export function writeBetweenMarkers (file, text) {
  const document = readFileSync(file, 'utf8')
  const begin = document.indexOf(BEGIN)
  const end = document.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`${file} has no ${BEGIN} followed by ${END}`)
  writeFileSync(file, `${document.slice(0, begin)}${BEGIN}\n\n${text.trim()}\n\n${document.slice(end)}`)
}

/**
 * @param report `{ machine, command, when, minutes, rounds, peers, absent, cases, failures }` as run.mjs makes it
 * @returns {string} Markdown
 */
export function markdown ({ machine, command, when, minutes, rounds, peers, absent, cases, failures }) {
  const rows = cases.filter(({ kind }) => kind === 'property').flatMap((one) => one.rows)
  return [
    `Measured on ${when} with \`${command}\` (${minutes} minutes). ${machineSentence(machine)}`,
    section('What was compared', peerTable(peers, absent)),
    ...PROTOCOLS.map(([protocol, title, load]) => {
      const throughput = cases.filter((one) => one.kind === 'throughput' && (one.protocol ?? 'mqtt') === protocol)
      return throughput.length > 0 && section(`Throughput, ${title}`,
        `Medians of ${rounds} alternating runs. In brackets: Holdfast as a multiple of that peer, in the same run.` +
          load,
        throughputTable(throughput, peersOf({ protocol }, peers)))
    }),
    rows.length > 0 && section('Bounds', table(['property', 'measured', 'goal', 'met'],
      rows.map(({ what, value, goal, met }) => [what, value, goal ?? '', verdictOf(met)]))),
    section('Loss, duplicates, order',
      'Over all runs, each message of each subscriber was looked for. Lost is what had not come when the run ended.',
      checksTable(cases, peers)),
    failures.length > 0 && section('Runs that failed', failures.map((one) => `- ${one}`).join('\n'))
  ].filter(Boolean).join('\n\n')
}

/** What is known of one throughput case: medians, ratios, and whether the goals are met. */
export function summarize ({ goals, results }, peers) {
  const medianOf = ({ name }) => {
    const runs = results.get(name) ?? []
    return runs.length > 0 ? median(runs.map(({ rate }) => rate)) : undefined
  }
  const ours = medianOf(peers[0])
  return peers.map((peer) => {
    const rate = medianOf(peer)
    const ratio = ours !== undefined && rate !== undefined && peer !== peers[0] ? ours / rate : undefined
    const goal = goals[peer.name]
    const isSound = (results.get(peer.name) ?? []).every(({ lost, duplicates, outOfOrder }) => (
      lost === 0 && duplicates === 0 && outOfOrder === 0))
    return { peer, rate, ratio, goal, isSound, met: goal === undefined ? undefined : (ratio ?? 0) >= goal }
  })
}

function throughputTable (cases, peers) {
  return table(['work', ...peers.map(({ title }) => title), 'goal', 'met'], cases.map((one) => {
    const summary = summarize(one, peers)
    const goals = summary.filter(({ goal }) => goal !== undefined)
    return [
      `${one.work}, ${one.unit}`,
      ...summary.map(({ peer, rate, ratio, isSound }) => [
        rate === undefined ? 'failed' : Math.round(rate).toLocaleString('en'),
        ratio !== undefined && `(${ratio.toFixed(2)} x)`,
        peer === peers[0] && rate !== undefined && one.note?.(one.results.get(peer.name)),
        !isSound && '**not sound**'
      ].filter(Boolean).join(' ')),
      goals.map(({ peer, goal }) => `${goal} x ${peer.title}`).join(', ') || 'reported',
      goals.map(({ met }) => verdictOf(met)).join(', ')
    ]
  }))
}

function peerTable (peers, absent) {
  return table(['server', 'what its receipt (PUBACK, ack) means'], [
    ...peers.map(({ title, receipt }) => [title, receipt]),
    ...absent.map(({ title, why }) => [title, `not run: ${why}`])
  ])
}

function checksTable (cases, peers) {
  return table(['server', 'messages expected', 'lost', 'duplicates', 'out of order'], peers.map(({ name, title }) => {
    const runs = cases.flatMap((one) => (one.checked ?? one.results).get(name) ?? [])
    const sum = (key) => runs.reduce((total, run) => total + run[key], 0).toLocaleString('en')
    return [title, sum('expected'), sum('lost'), sum('duplicates'), sum('outOfOrder')]
  }))
}

function machineSentence ({ processor, cores, memoryBytes, system, node, isPinned, syncP50Ms, syncP99Ms }) {
  const pinned = isPinned ? 'servers on one core, load on another' : 'servers and load not kept apart'
  return `${processor}, ${cores} cores, ${Math.round(memoryBytes / 2 ** 30)} GiB, ${system}, Node ${node}; ` +
    `${pinned}. One fdatasync of this disk takes ${syncP50Ms.toFixed(2)} ms (p99 ${syncP99Ms.toFixed(2)} ms).`
}

function section (title, ...parts) {
  return [`### ${title}`, ...parts].join('\n\n')
}

function table (head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function verdictOf (met) {
  return met === undefined ? '' : met ? 'yes' : '**no**'
}
