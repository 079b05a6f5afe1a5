/** docs/api.md names everything that a program can import, call, hand over and hear. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import ts from 'typescript'
import { ROOT } from '../helpers/sources.ts'

const page = readFileSync(`${ROOT}/docs/api.md`, 'utf8')
/** What stands between backticks, a call too: `publish(message)`. Headings are code as they stand. */
const words = new Set([...page.matchAll(/`([^`\n]+)`|^#+ (.*)$/gm)]
  .flatMap(([, code = '', heading = '']) => `${code} ${heading}`.split(/[^\w$-]+/)))
/** Of these, what a program reads or hands over member by member. */
const MEMBERS = [
  'Auth', 'BrokerEvents', 'Credentials', 'Holdfast', 'HoldfastAddresses', 'HoldfastOptions', 'HoldfastStats',
  'Identified', 'NewSession', 'Person', 'Problem', 'ProgramEmit', 'PublishOptions', 'Published', 'ReceivedMessage',
  'SessionInfo', 'Subscription', 'SubscriptionOptions'
]

const program = ts.createProgram([`${ROOT}/index.ts`], {
  noEmit: true,
  skipLibCheck: true,
  strict: true,
  allowImportingTsExtensions: true,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  typeRoots: [`${ROOT}/node_modules/@types`],
  types: ['node']
})
const checker = program.getTypeChecker()
const source = program.getSourceFile(`${ROOT}/index.ts`)
const exported = source === undefined
  ? []
  : checker.getExportsOfModule(checker.getSymbolAtLocation(source)!)

t.test('every export', async (t) => {
  t.ok(exported.length > 20)
  for (const { name } of exported) t.ok(words.has(name), name)
})

t.test('every option, method, figure and event', async (t) => {
  for (const name of MEMBERS) {
    const symbol = exported.find((one) => one.name === name)
    if (symbol === undefined) {
      t.fail(`${name} is exported no more: take it off this list`)
      continue
    }
    const members = checker.getDeclaredTypeOfSymbol(checker.getAliasedSymbol(symbol)).getProperties().filter(isOurs)
    t.not(members.length, 0, name)
    for (const member of members) t.ok(words.has(member.name), `${name}: ${member.name}`)
  }
})

/** Options of the configuration have a page of their own; what an iterator has is the language's. */
function isOurs ({ name, declarations = [] }: ts.Symbol): boolean {
  const [file] = declarations.map((one) => one.getSourceFile().fileName)
  return file !== undefined && !file.includes('node_modules') && !/\/config\/(?!problem)/.test(file) &&
    !name.startsWith('__@')
}
