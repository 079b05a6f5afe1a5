/** What the command does with a server that runs: each asks it over the socket in its data folder. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type CommandLine, loadConfig } from '../config/load.ts'
import { ownArguments, type Own, type OwnArguments } from './arguments.ts'
import { ask } from './control.ts'
import { UsageError } from './usage.ts'

const CLIENT = { client: 'the name of a session, as "holdfast sessions" shows it' }

interface Asking extends OwnArguments { readonly folder: string }

function read (command: string, line: CommandLine, own: Own): Asking {
  const asked = ownArguments(command, line.args, own)
  const { config } = loadConfig({ ...line, args: asked.args })
  return { ...asked, folder: resolve(config.data) }
}

function pathOf (command: string, { flags }: Asking): string {
  const clientId = flags.get('client')
  if (clientId === undefined) throw new UsageError(`${command}: --client needs ${CLIENT.client}`)
  return `/sessions/${encodeURIComponent(clientId)}`
}

export async function endSession (line: CommandLine): Promise<string> {
  const asking = read('sessions end', line, { flags: CLIENT })
  await ask(asking.folder, 'DELETE', pathOf('sessions end', asking))
  return 'The session is ended, with what waited for it.\n'
}

export async function disconnectSession (line: CommandLine): Promise<string> {
  const asking = read('sessions disconnect', line, { flags: CLIENT })
  const { disconnected } = await ask(asking.folder, 'POST', `${pathOf('sessions disconnect', asking)}/disconnect`) as
    { disconnected: boolean }
  return disconnected ? 'Its connection is closed; the session goes on.\n' : 'It has no connection; nothing was done.\n'
}

export async function stats (line: CommandLine): Promise<string> {
  const { folder, switches } = read('stats', line, { switches: ['json'] })
  const all = await ask(folder, 'GET', '/stats') as Record<string, unknown>
  return switches.has('json') ? JSON.stringify(all, null, 2) + '\n' : flat(all).map((row) => `${row}\n`).join('')
}

/** `store.messages  3`, one a line. */
function flat (values: object, prefix = ''): string[] {
  return Object.entries(values).flatMap(([name, value]) => typeof value === 'object' && value !== null
    ? flat(value, `${prefix}${name}.`)
    : [`${prefix}${name}`.padEnd(34) + String(value)])
}

export async function publish (line: CommandLine): Promise<string> {
  const { folder, flags, switches } = read('publish', line, {
    flags: { topic: 'where to publish', payload: 'a text', file: 'the path of a file', qos: '0, 1 or 2', id: 'a text' },
    switches: ['retain']
  })
  const [topic, payload, file] = ['topic', 'payload', 'file'].map((name) => flags.get(name))
  if (topic === undefined) throw new UsageError('publish: --topic says where to publish')
  if ((payload === undefined) === (file === undefined)) throw new UsageError('publish: give --payload or --file')
  const qos = flags.get('qos') ?? '1'
  if (!/^[012]$/.test(qos)) throw new UsageError('publish: --qos is 0, 1 or 2')
  const { sessions } = await ask(folder, 'POST', '/publish', {
    topic, qos: Number(qos), retain: switches.has('retain'), ...flags.has('id') && { id: flags.get('id') },
    ...payload !== undefined ? { payload } : { payloadBase64: readBytes(file!).toString('base64') }
  }) as { sessions: number }
  if (qos === '0') return 'Passed on to whoever is connected; kept for nobody.\n'
  return `On disk and synced; kept for at most ${sessions} ${sessions === 1 ? 'session' : 'sessions'}.\n`
}

function readBytes (file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new UsageError(`publish: ${file} can't be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

export async function aside (line: CommandLine): Promise<string> {
  const { words: [verb], flags, folder, switches, ...asking } = read('aside', line, {
    words: ['what to do (list, publish, drop)'],
    flags: { ...CLIENT, id: 'the identifier of a message, as "holdfast aside list" shows it' },
    switches: ['payload', 'all']
  })
  const path = `${pathOf('aside', { ...asking, flags, folder, switches, words: [] })}/aside`
  const id = flags.get('id')
  const one = id === undefined ? path : `${path}/${encodeURIComponent(id)}`
  switch (verb) {
    case 'list': {
      const found = await ask(folder, 'GET', path + (switches.has('payload') ? '?payload=1' : ''))
      return JSON.stringify(found, null, 2) + '\n'
    }
    case 'publish':
      if (id === undefined) throw new UsageError('aside publish: --id says which message')
      await ask(folder, 'POST', `${one}/publish`)
      return 'Published again, and set aside no more.\n'
    case 'drop': {
      if ((id === undefined) !== switches.has('all')) throw new UsageError('aside drop: give --id, or --all')
      const { dropped } = await ask(folder, 'DELETE', one) as { dropped: number }
      return `Dropped ${dropped} ${dropped === 1 ? 'message' : 'messages'}.\n`
    }
    default: throw new UsageError(`aside: there is list, publish and drop, not ${verb}`)
  }
}

export async function reload (line: CommandLine): Promise<string> {
  const { folder } = read('reload', line, {})
  await ask(folder, 'POST', '/reload')
  return 'Users, keys and rights are read anew, and in force.\n'
}
