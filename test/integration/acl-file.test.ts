/** ACL files of mosquitto: what they come to here, and in mosquitto itself. */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { readAclFile } from '../../broker/auth/rights/acl-file.ts'
import { RightsRules } from '../../broker/auth/rights/rights-rules.ts'
import type { ClientId, Principal } from '../../broker/model/message.ts'
import { connectWire, publishPacket, subscribe, type WireClient } from '../helpers/mqtt-wire.ts'
import { chooseSeed, createRandom, type Random } from '../helpers/random.ts'
import { tempFolder } from '../helpers/temp.ts'

/** Sees and writes all, so that a test can ask mosquitto; last, so that nothing of a file is added to it. */
const WATCHER = 'user watcher\ntopic readwrite #\n'
const PEOPLE = [
  { name: 'u1', clientId: 'c1' }, { name: 'u2', clientId: 'a' }, { name: 'u 3', clientId: 'c3' },
  { name: undefined, clientId: 'c4' }
] as const
const LEVELS = ['a', 'b', 'u1', 'c1']
const TOPICS = LEVELS.flatMap(one => [one, ...LEVELS.flatMap(two => [`${one}/${two}`, `${one}/${two}/b`])])

const FIXED = `# a comment
topic read a/b
topic deny a/u1
topic a/#
user u1
topic read  a/#
topic deny a/b
topic write b
user u2
topic readwrite b/+
user u 3
topic b
user u1
topic a/b/b
pattern read %u/%c
pattern write b/%c/#
pattern deny b/a/b

pattern read c1
`

async function freePort (): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => { server.close(resolve) })
  return port
}

async function startMosquitto (t: Test, acl: string): Promise<number> {
  const port = await freePort()
  const folder = tempFolder(t)
  writeFileSync(join(folder, 'acl'), acl)
  writeFileSync(join(folder, 'conf'), // as root it would become a user who may not read the folder
    `user root\nlistener ${port} 127.0.0.1\nallow_anonymous true\nacl_file ${join(folder, 'acl')}\n`)
  const child = spawn('mosquitto', ['-c', join(folder, 'conf')], { stdio: ['ignore', 'ignore', 'pipe'] })
  t.teardown(() => { child.kill() })
  await new Promise<void>((resolve, reject) => {
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (more: string) => {
      said += more
      if (/ running/.test(said)) resolve()
    })
    child.on('error', reject)
    child.on('exit', code => { reject(new Error(`mosquitto ended with ${code}: ${said}`)) })
  })
  return port
}

async function enter (t: Test, port: number, clientId: string, username?: string): Promise<WireClient> {
  const { client } = await connectWire(t, { port }, { clientId, ...(username !== undefined && { username }) })
  await subscribe(client, { '#': 0 })
  return client
}

/** Publishes on every topic; those that come to the other one. */
async function publishAll (from: WireClient, to: WireClient): Promise<string[]> {
  for (const topic of TOPICS) from.send(publishPacket(topic, topic))
  await from.untilPong()
  return (await to.untilPong()).flatMap(packet => packet.cmd === 'publish' ? [packet.topic] : [])
}

function randomAcl (random: Random): string {
  const filter = (levels: readonly string[]): string => {
    const parts = Array.from({ length: random.between(1, 3) }, () => random.pick(levels))
    if (random.int(4) === 0) parts[parts.length - 1] = '#'
    return parts.join('/')
  }
  return Array.from({ length: 16 }, () => {
    const access = random.pick(['read ', 'write ', 'readwrite ', 'deny ', ''])
    switch (random.int(5)) {
      case 0: return `user ${random.pick(['u1', 'u2', 'u 3'])}`
      case 1: return `pattern ${access}${filter([...LEVELS, '+', '%u', '%c'])}`
      default: return `topic ${access}${filter([...LEVELS, '+'])}`
    }
  }).join('\n') + '\n'
}

function rightsIn (rules: RightsRules, name: string | undefined) {
  return rules.rightsOf({
    principal: (name ?? 'anonymous') as Principal,
    groups: [],
    grants: undefined,
    by: name === undefined ? 'anonymous' : 'users'
  })
}

const random = createRandom(chooseSeed())
for (const [name, acl] of [['fixed', FIXED], ...['first', 'second', 'third'].map(n => [n, randomAcl(random)])]) {
  t.test(`each person may read and write what mosquitto lets them: the ${name} file`, async t => {
    t.comment(`seed ${random.seed}`)
    const file = acl + WATCHER
    const read = readAclFile('acl', file)
    t.same(read.problems, [])
    const rules = new RightsRules({ rules: read.rules!, grantsAnyFilter: true })
    const port = await startMosquitto(t, file)
    const watcher = await enter(t, port, 'w', 'watcher')
    const counts = { read: 0, written: 0 }
    for (const { name, clientId } of PEOPLE) {
      const client = await enter(t, port, clientId, name)
      const received = await publishAll(watcher, client)
      await watcher.untilPong() // its own
      const written = await publishAll(client, watcher)
      client.destroy()
      const rights = rightsIn(rules, name)
      const id = clientId as ClientId
      t.same(TOPICS.filter(topic => rights.mayRead!(id, topic)), received, `${name ?? 'nobody'} reads`)
      t.same(TOPICS.filter(topic => rights.mayPublish(id, topic)), written, `${name ?? 'nobody'} writes`)
      t.ok(rights.maySubscribe(id, '#'), 'any filter is granted')
      counts.read += received.length
      counts.written += written.length
    }
    t.comment(JSON.stringify(counts))
    if (name === 'fixed') t.ok(counts.read > 0 && counts.written > 0)
  })
}

t.test('what is wrong with an ACL file is told line by line, as mosquitto would not start with it', async t => {
  const { rules, problems } =
    readAclFile('acl', 'topic read a\nuser\ntopic\ntopic see a/b\n\ntopic a/#/b\n # x\nuse u1\n')
  t.equal(rules, undefined)
  t.same(problems.map(({ line }) => line), [2, 3, 4, 6, 7, 8])
  t.match(problems.map(({ says }) => says).join('\n'),
    /a name is missing[^]*a filter is missing[^]*"see" is no kind of access; there is read, write[^]*# stands alone/)
  t.same(readAclFile('acl', '').rules, [])
  t.same(readAclFile('acl', 'topic read a\r\n').problems, [], 'lines of Windows')
})

t.test('a name of an ACL file is a name, whatever it holds', async t => {
  const { rules } = readAclFile('acl', 'user u*\ntopic #\nuser x\ntopic {principal}/a\n')
  const made = new RightsRules({ rules: rules!, grantsAnyFilter: true })
  const may = (name: string, topic: string): boolean => rightsIn(made, name).mayPublish('c' as ClientId, topic)
  t.ok(may('u*', 'a'))
  t.notOk(may('u1', 'a'))
  t.notOk(may('x', 'x/a'))
  t.ok(may('x', '{principal}/a'))
})
