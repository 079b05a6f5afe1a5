/**
 * docs/deploying.md as a stranger follows it: its commands, files and programs, in their order, with the folders and
 * ports of this test in place of those of the machine. systemd itself is not here: the test starts what the unit says.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { samplesOf } from '../helpers/samples.ts'
import { ROOT } from '../helpers/sources.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'

const PAGE = 'docs/deploying.md'
/** What changes the machine, and what needs the user that was made there. */
const NOT_HERE = /^(apt-get|adduser|npm|chown|systemctl (daemon-reload|status)) ?/
const COMMAND_MS_MAX = 60_000

interface Ended { readonly code: number, readonly said: string }

/** A folder that stands for the machine. */
class Machine {
  readonly #t: Test
  readonly #root: string
  readonly #work: string
  readonly #places: ReadonlyArray<readonly [string, string]>
  #server: ChildProcess | undefined

  constructor (t: Test, ports: Readonly<Record<'8883' | '8443' | '9464', number>>) {
    this.#t = t
    this.#root = tempFolder(t, 'machine')
    this.#work = join(this.#root, 'work')
    const at = (path: string): string => join(this.#root, path)
    this.#places = [
      ['/etc/holdfast', at('etc')], ['/opt/holdfast', at('opt')], ['/var/lib/holdfast', at('data')],
      ['/usr/local/bin', at('bin')], ['/etc/systemd/system', at('systemd')],
      ['/usr/bin/node', process.execPath], ['/bin/kill', 'kill'], [' -o root -g holdfast', ''],
      ['runuser -u holdfast -- ', ''],
      ...Object.entries(ports).map(([port, here]) => [port, String(here)] as const)
    ]
    for (const folder of ['work', 'bin', 'systemd', 'opt/node_modules/.bin']) mkdirSync(at(folder), { recursive: true })
    // in place of npm install
    symlinkSync(ROOT.replace(/\/$/, ''), at('opt/node_modules/holdfast'))
    writeFileSync(at('opt/node_modules/.bin/holdfast'),
      `#!/bin/sh\nexec ${process.execPath} ${ROOT}/dist/bin/holdfast.js "$@"\n`, { mode: 0o755 })
    symlinkSync(`${ROOT}/node_modules`, join(this.#work, 'node_modules'))
  }

  here (text: string): string {
    return this.#places.reduce((all, [there, here]) => all.replaceAll(there, here), text)
  }

  write (path: string, text: string): void { writeFileSync(resolve(this.#work, this.here(path)), text) }

  read (path: string): string { return readFileSync(join(this.#work, path), 'utf8') }

  async run (command: string): Promise<Ended> {
    return await new Promise((resolve) => {
      execFile('bash', ['--norc', '-euo', 'pipefail', '-c', this.here(command)],
        { cwd: this.#work, env: this.#env(), timeout: COMMAND_MS_MAX },
        (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), said: stdout + stderr }))
    })
  }

  /** What systemd does with the unit. */
  async systemctl (verb: string): Promise<void> {
    const unit = this.here(readFileSync(join(this.#root, 'systemd/holdfast.service'), 'utf8'))
    const of = (key: string): string => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)![1]
    if (verb === 'stop') {
      await this.#stop()
      return
    }
    if (verb === 'reload') {
      await this.run(of('ExecReload').replace('$MAINPID', String(this.#server!.pid)))
      return
    }
    const [program, ...args] = of('ExecStart').split(' ')
    const environment = Object.fromEntries(of('Environment').split(' ').map((one) => one.split('=')))
    const server = spawn(program, args, { cwd: '/', env: { ...this.#env(), ...environment } })
    this.#server = server
    this.#t.teardown(() => { server.kill('SIGKILL') })
    let said = ''
    for (const stream of [server.stdout, server.stderr]) stream.setEncoding('utf8').on('data', (one) => { said += one })
    await Promise.race([
      until(() => said.includes('holdfast ready'), 'the server'),
      once(server, 'exit').then(() => { throw new Error(said) })
    ])
  }

  async #stop (): Promise<void> {
    const exited = once(this.#server!, 'exit')
    this.#server!.kill('SIGTERM')
    await within(exited, 'the end')
  }

  start (command: string): { said: () => string } {
    const child = spawn('bash', ['--norc', '-c', `exec ${this.here(command)}`], { cwd: this.#work, env: this.#env() })
    this.#t.teardown(() => { child.kill('SIGKILL') })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (one) => { said += one })
    return { said: () => said }
  }

  #env (): NodeJS.ProcessEnv {
    return { PATH: `${join(this.#root, 'bin')}:${process.env['PATH']}`, HOME: this.#root }
  }
}

async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

t.test('a stranger has a server with TLS, users, a token, rights, metrics and a backup', async (t) => {
  const ports = { 8883: await freePort(), 8443: await freePort(), 9464: await freePort() }
  const machine = new Machine(t, ports)
  const files: Record<string, string> = { 'import { createHmac }': 'token.mjs', 'import { io }': 'page.mjs' }
  for (const { language, code, at } of samplesOf(PAGE, readFileSync(`${ROOT}/${PAGE}`, 'utf8'))) {
    if (language === 'js') {
      const [, file] = Object.entries(files).find(([begins]) => code.startsWith(begins)) ?? []
      t.ok(file, `${at} has a name`)
      machine.write(file!, code)
    } else if (language === 'json') {
      // other ports, and nothing that others reach
      const config = { ...JSON.parse(machine.here(code)) as object, host: '127.0.0.1' }
      machine.write('/etc/holdfast/holdfast.json', JSON.stringify(
        { ...config, mqttPort: 0, httpPort: 0, mqttsPort: ports[8883], httpsPort: ports[8443] }))
    } else if (language === 'sh') {
      for (const command of code.trim().split('\n')) await follow(t, machine, command)
    }
  }
  await afterwards(t, machine)
})

/** Options of mosquitto for a user. */
const AS = (user: string, password = `$(cat ${user}.password)`): string =>
  `-h localhost -p 8883 --cafile ca.pem -q 1 -u ${user} -P "${password}"`
const SEND = (level: number): string =>
  `mosquitto_pub ${AS('sender')} -t io/_/user/U1/alert -m '{"level":${level}}'`
const METRICS = /^# TYPE holdfast_\w+ (counter|gauge|histogram)$/m

async function follow (t: Test, machine: Machine, line: string): Promise<void> {
  const command = line.startsWith('apt-get') ? 'apt-get' : line
  if (NOT_HERE.test(`${command} `)) return
  if (command.startsWith('systemctl ')) {
    // the backup has 5 and not 6
    if (command.includes(' stop ')) t.match(await machine.run(SEND(6)), { code: 0 }, 'what comes after the backup')
    const verb = /reload|stop/.exec(command)?.[0] ?? 'start'
    const removed = verb === 'reload'
      ? machine.start(`stdbuf -oL mosquitto_sub ${AS('U2')} -t io/_/user/U2/# -d`)
      : undefined
    if (removed !== undefined) await until(() => /Subscribed \(mid: 1\): 1$/m.test(removed.said()), 'U2')
    await machine.systemctl(verb)
    if (removed !== undefined) await until(() => removed.said().includes('connection was lost'), 'the end of U2')
    return
  }
  if (command.startsWith('runuser')) t.match(await machine.run(SEND(5)), { code: 0 }, 'what comes before the backup')
  const { code, said } = await machine.run(command)
  // the page says so: U2 may not
  const isRefused = command.includes('--as U2')
  t.equal(code === 0, !isRefused, `${command}\n${said}`)
  if (isRefused) t.match(said, 'no: "U2" may not subscribe to "io/_/user/U1/alert"')
  if (command.includes('mosquitto_sub') && command.includes(' -C ')) t.equal(said, '{"level":3}\n', 'it waited')
  if (command.includes('mosquitto_sub') && command.includes(' U2 ')) {
    t.match(said, 'All subscription requests were denied', 'who reads what is not theirs')
  }
  if (command.startsWith('curl')) t.match(said, METRICS)
}

/** What the page promises besides. */
async function afterwards (t: Test, machine: Machine): Promise<void> {
  const said = async (command: string): Promise<string> => (await machine.run(command)).said
  t.equal(await said(`mosquitto_sub ${AS('U1')} -i phone -c -t io/_/user/U1/alert -W 3`), '{"level":5}\nTimed out\n',
    'the server goes on from the backup')
  const sub = (as: string, filter: string): string => `mosquitto_sub ${as} -t '${filter}' -d -E`
  const stranger = /not authori[sz]ed|bad user name/i
  t.match(await said(sub(AS('U1', 'wrong'), 'io/_/user/U1/alert')), stranger, 'a wrong password')
  t.match(await said(sub(AS('U2'), 'io/_/user/U1/alert')), stranger, 'who was removed')
  for (const filter of ['#', 'io/#', 'io/_/user/+/alert', 'io/_/user/U2/alert', '$share/g/io/_/user/U2/#', 'other']) {
    t.match(await said(sub(AS('U1'), filter)), /Subscribed \(mid: 1\): 128/, `${filter}: beyond rights`)
  }
  t.match(await said(sub(AS('U1'), 'io/_/user/U1/#')), /Subscribed \(mid: 1\): 1$/m, 'their own')
  for (const shown of ['', '-H "Authorization: Bearer wrong"']) {
    const metrics = await machine.run(`curl --fail --silent --cacert ca.pem ${shown} https://localhost:8443/metrics`)
    t.not(metrics.code, 0, 'metrics without the token')
    t.notMatch(metrics.said, METRICS)
  }
  const page = (token: string): { said: () => string } =>
    machine.start(`env NODE_EXTRA_CA_CERTS=ca.pem ${process.execPath} page.mjs https://localhost:8443 "${token}"`)
  const [token] = machine.read('U1.token').split('\n')
  const forged = page(`${token.slice(0, -4)}AAAA`)
  await until(() => /refused:/.test(forged.said()), 'the refusal')
  const own = page(token)
  await until(() => own.said().includes('connected'), 'the page')
  t.match(await machine.run(SEND(4)), { code: 0 })
  await until(() => own.said().includes('alert { level: 4 }'), 'the alert')
  await machine.systemctl('stop')
}
