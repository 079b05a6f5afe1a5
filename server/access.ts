/** Who may do what, by the configuration: the rules of `access`, an ACL file and the defaults, and all of it anew. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import {
  RightsRules, defaultRules, readAclFile, type Known, type RightsRule, type RuledRights
} from '../broker/index.ts'
import type { AccessOption } from '../config/access-rule.ts'
import { readAccess } from '../config/access-rules.ts'
import { ConfigError, type Problem } from '../config/problem.ts'
import type { Config } from '../config/schema.ts'

export type AccessConfig = Pick<Config, 'access' | 'aclFile' | 'adminGroup'>

/** As text; throws as node:fs does. An argument so that the command reads as the server does. */
export type ReadText = (file: string) => Promise<string>

/** The rules of `access` as they are now. */
export type ReadAccess = () => AccessOption

const readText: ReadText = async (file) => await readFile(file, 'utf8')

export class Access {
  readonly #config: AccessConfig
  readonly #readAccess: ReadAccess | undefined
  readonly #read: ReadText
  #rules: RightsRules

  private constructor (
    config: AccessConfig, readAccess: ReadAccess | undefined, read: ReadText, rules: RightsRules
  ) {
    this.#config = config
    this.#readAccess = readAccess
    this.#read = read
    this.#rules = rules
  }

  /** @throws ConfigError where the ACL file can't be used, with each of its lines that is wrong */
  static async open (config: AccessConfig, readAccess?: ReadAccess, read = readText): Promise<Access> {
    return new Access(config, readAccess, read, await load(config, config.access, read))
  }

  /** By the rules of now: what it gave before does not change. */
  readonly rightsOf = (known: Pick<Known, 'principal' | 'groups' | 'by' | 'grants'>): RuledRights =>
    this.#rules.rightsOf(known)

  /**
   * Takes the rules and the ACL file anew.
   * @throws ConfigError: then what was in force stays in force
   */
  async reload (): Promise<void> {
    this.#rules = await load(this.#config, this.#readAccess?.() ?? this.#config.access, this.#read)
  }
}

async function load (config: AccessConfig, access: AccessOption, read: ReadText): Promise<RightsRules> {
  const { aclFile, adminGroup } = config
  const { rules, problems } = readAccess(access)
  if (problems.length > 0) {
    throw new ConfigError(problems.map(({ at, says }) => ({ option: 'access', where: `access${at}`, says })))
  }
  const acl = aclFile === '' ? [] : await loadAclFile(aclFile, read)
  return new RightsRules({
    rules: [...rules, ...acl, ...defaultRules({ adminGroup, hasRules: access.length > 0 || aclFile !== '' })],
    grantsAnyFilter: aclFile !== ''
  })
}

/** @throws ConfigError */
async function loadAclFile (name: string, read: ReadText): Promise<readonly RightsRule[]> {
  const file = resolve(name)
  const wrong = (where: string, says: string): Problem => ({ option: 'aclFile', where, says })
  let content: string
  try {
    content = await read(file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'there is none' : code ?? 'unknown reason'
    throw new ConfigError([wrong('aclFile', `the file ${file} can't be read (${why})`)])
  }
  const acl = readAclFile(name, content)
  if (acl.rules === undefined) {
    throw new ConfigError(acl.problems.map(({ line, says }) => wrong(`${name}:${line}`, says)))
  }
  return acl.rules
}
