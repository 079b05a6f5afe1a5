/** `holdfast start`: runs the server until a signal ends it. With `--quiet` it prints the ready line alone. */
import { systemClock } from '../broker/index.ts'
import type { AccessOption } from '../config/access-rule.ts'
import type { CommandLine } from '../config/load.ts'
import { loadConfig } from '../config/load.ts'
import { EXIT, complain, explain } from './failure.ts'
import { type Holdfast, createHoldfast, createLog } from '../server/index.ts'
import { version } from '../server/version.ts'
import { createNotifier, supervisorOf } from './supervisor.ts'
import { readyLine, welcome } from './words.ts'

/** Ends the process by itself; the promise rejects only where the configuration is wrong. */
export async function start (line: CommandLine): Promise<void> {
  const { config: { config: _file, ...config }, switches } = loadConfig({ ...line, switches: ['quiet'] })
  const log = createLog(config)
  const { env, pid } = process
  const supervisor = supervisorOf({ env, pid, clock: systemClock, log, tell: createNotifier(env, log) })

  // the state after an unexpected error is unknown; what has a receipt is on disk [G1], so ending loses nothing
  process.on('uncaughtException', (err) => {
    log.fatal({ err }, 'the program has an error and ends; start it again, nothing that has a receipt is lost')
    process.exit(EXIT.internal)
  })
  // whoever read the output may have gone; that is no reason to stop serving
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})

  let stopping = false
  const readAccess = (): AccessOption => loadConfig({ ...line, switches: ['quiet'] }).config.access
  const starting = createHoldfast({ ...config, logger: log, readAccess })
  function onSignal (signal: NodeJS.Signals): void {
    if (stopping) return force('a second signal came')
    stopping = true
    supervisor.stopping()
    log.info({ signal, shutdownGraceMs: config.shutdownGraceMs },
      'stopping: syncing what was accepted, closing clients')
    setTimeout(() => force('shutdownGraceMs has passed'), config.shutdownGraceMs)
    starting.then(stop, () => {}) // a start that failed is reported below
  }
  function force (why: string): void {
    log.warn({ why }, 'stopping at once; what has a receipt is on disk')
    process.exit(EXIT.failed)
  }
  async function stop (holdfast: Holdfast): Promise<void> {
    const failed = await holdfast.close().then(() => false, () => true) // which part failed is logged
    log.info({}, failed ? 'stopped, not cleanly; the next start recovers' : 'stopped')
    process.exit(failed ? EXIT.failed : EXIT.ok)
  }
  // without any more of the engine: what it has in memory is no longer to be trusted
  starting.then((holdfast) => holdfast.events.on('store-broken', () => process.exit(EXIT.disk)), () => {})
  process.on('SIGHUP', () => {
    starting.then((holdfast) => holdfast.reload()).then(
      () => log.info({}, 'users, keys and rules were read anew'),
      ({ message }: Error) => log.error({ why: message }, 'something could not be read anew, and stays as it was'))
  })
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)

  try {
    const holdfast = await starting
    if (stopping) return
    const { addresses: places } = holdfast
    const says = switches.has('quiet') ? '' : welcome(version(), places, { config: '', ...config })
    process.stdout.write(says + readyLine(places))
    log.info({ ...places, data: config.data }, 'ready')
    supervisor.ready(readyLine(places).trim(), () => holdfast.stats().logSilentMs)
  } catch (error) {
    const { lines, exitCode } = explain(error)
    if (exitCode === EXIT.internal) log.fatal({ err: error }, 'the server could not start')
    complain(lines)
    process.exit(exitCode)
  }
}
