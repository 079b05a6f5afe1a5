#!/usr/bin/env node
/**
 * The command. What goes wrong is one line each on standard error and a code other than 0, never a stack trace.
 * Only what is asked for is loaded: the server takes longer to load than everything else to run.
 */
import { readFileSync } from 'node:fs'
import { didYouMean } from '../config/suggest.ts'
import { check } from './check.ts'
import { COMMANDS, help } from './help.ts'
import { UsageError } from './usage.ts'
import { version } from '../server/version.ts'

async function run (command: string | undefined, args: readonly string[]): Promise<void> {
  const line = { args, env: process.env, read: (file: string) => readFileSync(file, 'utf8') }
  const asksForHelp = args.includes('--help') || args.includes('-h')
  switch (command) {
    case 'start': return asksForHelp ? print(help(command)) : (await import('./start.ts')).start(line)
    case 'check':
      if (asksForHelp) return print(help(command))
      return args.some(isAsking) ? answer(await (await import('./explain.ts')).explain(line)) : print(await check(line))
    case 'sessions':
      if (asksForHelp) return print(help(command))
      if (args[0] === 'add') {
        return print(await (await import('./sessions-add.ts')).addSession({ ...line, args: args.slice(1) }))
      }
      if (args[0] === 'end' || args[0] === 'disconnect') {
        const { endSession, disconnectSession } = await import('./operate.ts')
        return print(await (args[0] === 'end' ? endSession : disconnectSession)({ ...line, args: args.slice(1) }))
      }
      return print(await (await import('./sessions.ts')).sessions(line, Date.now()))
    case 'user':
      if (asksForHelp) return print(help(command))
      return print(await (await import('./user.ts')).user(line, process))
    case 'backup':
    case 'compact': {
      if (asksForHelp) return print(help(command))
      const { backup, compact } = await import('./backup.ts')
      const tell = (says: string): void => { process.stderr.write(`${says}\n`) }
      return print(await (command === 'backup' ? backup(line, tell) : compact(line)))
    }
    case 'aside':
    case 'publish':
    case 'reload':
    case 'stats': return print(asksForHelp ? help(command) : await (await import('./operate.ts'))[command](line))
    case undefined:
    case 'help':
    case '--help':
    case '-h': return print(help(args[0]))
    case '--version':
    case '-v': return print(version() + '\n')
    default: throw new UsageError(command.startsWith('-')
      ? `the first word must be a command (${COMMANDS.join(', ')}), not ${command}`
      : `there is no command ${command}${didYouMean(command, COMMANDS) || `; there is ${COMMANDS.join(', ')}`}`)
  }
}

function isAsking (arg: string): boolean {
  return arg === '--as' || arg.startsWith('--as=')
}

function answer ({ text, allowed }: { readonly text: string, readonly allowed: boolean }): void {
  print(text)
  process.exitCode = allowed ? 0 : 1
}

function print (text: string): void {
  process.stdout.write(text)
}

try {
  await run(process.argv[2], process.argv.slice(3))
} catch (error) {
  const { complain, explain } = await import('./failure.ts')
  const { lines, exitCode } = explain(error)
  complain(lines)
  process.exitCode = exitCode
}
