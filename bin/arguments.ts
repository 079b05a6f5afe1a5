/** What a command takes besides options: flags of its own, and words. The rest is for the configuration. */
import { UsageError } from './usage.ts'

export interface Own {
  /** Flags with a value, and what it is, as `client: 'the name of a session'`. */
  readonly flags?: Readonly<Record<string, string>>
  /** Flags without one. */
  readonly switches?: readonly string[]
  /** What stands without a flag, by name, in this order; each must be given. */
  readonly words?: readonly string[]
}

export interface OwnArguments {
  readonly flags: ReadonlyMap<string, string>
  readonly switches: ReadonlySet<string>
  readonly words: readonly string[]
  /** Options of the configuration, as they stand. */
  readonly args: readonly string[]
}

/** Words come first. @throws UsageError */
export function ownArguments (command: string, args: readonly string[], own: Own): OwnArguments {
  const { flags: known = {}, switches: knownSwitches = [], words: names = [] } = own
  const words = names.map((name, i) => {
    const word = args[i]
    if (word === undefined || word.startsWith('-')) throw new UsageError(`${command}: name ${name} first`)
    return word
  })
  const flags = new Map<string, string>()
  const switches = new Set<string>()
  const rest: string[] = []
  for (let i = names.length; i < args.length; i++) {
    const [, name = '', joined] = /^--([a-z0-9-]+)(?:=(.*))?$/s.exec(args[i]) ?? []
    if (knownSwitches.includes(name)) switches.add(name)
    else if (!Object.hasOwn(known, name)) rest.push(args[i])
    else {
      const value = joined ?? args[++i]
      if (value === undefined || (joined === undefined && value.startsWith('--'))) {
        throw new UsageError(`${command}: --${name} needs ${known[name]}`)
      }
      if (flags.has(name)) throw new UsageError(`${command}: --${name} is given twice`)
      flags.set(name, value)
    }
  }
  return { flags, switches, words, args: rest }
}
