/**
 * `npm run build && node bench/rights.mjs`: what it costs to ask who may do what, by the number of rules. Each figure
 * is the median of ROUNDS, in nanoseconds for one question; rules are for groups, persons and everybody in turn.
 */
import { defaultRules, RightsRules } from '../dist/broker/index.js'
import { readAccess } from '../dist/config/access-rules.js'

const ROUNDS = 7
const PEOPLE = 1_000
const QUESTIONS = 100_000

function rulesOf (count) {
  const access = Array.from({ length: count }, (_, i) => [
    { group: `g${i % 20}`, allow: ['publish', 'subscribe'], topics: `plant/${i}/+/state` },
    { principal: `u${i}`, allow: 'publish', topics: `data/{principal}/${i}/#` },
    { everybody: true, deny: 'all', topics: `closed/${i}/#` },
    { everybody: true, allow: 'subscribe', topics: `news/${i}/#` }
  ][i % 4])
  const { rules } = readAccess(access)
  return new RightsRules({
    rules: [...rules, ...defaultRules({ adminGroup: 'admin', hasRules: count > 0 })], grantsAnyFilter: false
  })
}

const people = Array.from({ length: PEOPLE }, (_, i) => (
  { principal: `u${i}`, groups: [`g${i % 20}`], by: 'users', grants: undefined }
))
const topics = people.map((_, i) => `data/u${i}/${i}/t/${i % 7}`)
const filters = people.map((_, i) => `news/${i - i % 4 + 3}/+/x`)

/** Nanoseconds for one. */
function measure (times, ask) {
  const rounds = Array.from({ length: ROUNDS }, () => {
    const start = process.hrtime.bigint()
    for (let i = 0; i < times; i++) ask(i % PEOPLE)
    return Number(process.hrtime.bigint() - start) / times
  })
  return Math.round(rounds.sort((a, b) => a - b)[ROUNDS >> 1])
}

const everybody = { mayPublish: () => true }
console.log(`without rules  publish ${measure(QUESTIONS, (i) => everybody.mayPublish('c', topics[i]))} ns`)
for (const count of [10, 1_000]) {
  const start = process.hrtime.bigint()
  const rules = rulesOf(count)
  const madeMs = Number(process.hrtime.bigint() - start) / 1e6
  const rights = people.map((person) => rules.rightsOf(person))
  const row = {
    publish: measure(QUESTIONS, (i) => rights[i].mayPublish('c', topics[i])),
    // what delivery asks of somebody with a rule to read
    read: measure(QUESTIONS, (i) => rights[i].decideTopic('read', 'c', topics[i]).allowed),
    subscribe: measure(QUESTIONS / 100, (i) => rights[i].maySubscribe('c', filters[i])),
    enter: measure(QUESTIONS / 100, (i) => rules.rightsOf(people[i]))
  }
  const figures = Object.entries(row).map(([name, ns]) => `${name} ${ns.toLocaleString('en-US')} ns`)
  console.log(`${String(count).padStart(6)} rules   ${figures.join(', ')}; made in ${madeMs.toFixed(1)} ms`)
}
