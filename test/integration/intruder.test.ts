/**
 * An intruder at every door of one server: with wrong names, passwords and tokens, under the client identifiers of
 * others, and with an account of their own beyond its rights. They get nothing, and leave nothing.
 */
import t, { type Test } from 'tap'
import { publish1 } from '../helpers/mqtt-wire.ts'
import { until } from '../helpers/wait.ts'
import { credentials, mqttDoor, overTcp, overWebSocket, socketioDoor, subscribe } from './intruder-doors.ts'
import {
  openHouse, PASSWORD, REFUSAL, tell, type Door, type Guest, type House, type Who
} from './intruder-words.ts'

const TCP = mqttDoor('MQTT over TCP', overTcp)
const DOORS: readonly Door[] = [
  TCP as Door, mqttDoor('MQTT over WebSocket', overWebSocket) as Door,
  ...([['2.5', 'websocket'], ['3.1', 'polling'], ['4.8', 'websocket'], ['4.8', 'polling']] as const)
    .map(([version, over]) => socketioDoor(version, over) as Door)
]

/** What every object of JavaScript has, and what people make of nothing. */
const PROTOTYPE_NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf']
const U1 = { username: 'u1', password: PASSWORD }

interface Victim { readonly door: Door, readonly asleep: Who, readonly awake: Guest, readonly names: readonly string[] }

let lastFence = 0
/** What came to a guest until now is what it should be: `user` is whose inbox they hear. */
async function hearsOnly (
  t: Test, house: House, user: string, guest: Guest, what: string, namespace?: string
): Promise<void> {
  const heard = guest.got.length
  await tell(house, 'u1', `secret ${++lastFence}`)
  await tell(house, user, `fence ${lastFence}`, namespace)
  await until(() => guest.got.length > heard, `the fence at ${what}`)
  t.same(guest.got.slice(heard), [`fence ${lastFence}`], what)
  t.same(guest.got.filter((text) => !text.startsWith('fence ')), [], `${what}: nothing before it`)
}

async function settleVictim (t: Test, house: House, door: Door, index: number): Promise<Victim> {
  const names = [`asleep-${index}`, `awake-${index}`]
  const [asleep, awake] = names.map((clientId) => ({ clientId, ...U1 }))
  await (await door.settle(t, house, asleep)).leave()
  return { door, asleep, awake: await door.settle(t, house, awake), names }
}

async function refuses (t: Test, house: House, door: Door, who: Who, what: string): Promise<void> {
  await t.rejects(door.enter(t, house, who), { message: REFUSAL }, what)
}

async function strangers (t: Test, house: House, door: Door): Promise<void> {
  const clientId = 'stranger'
  for (const password of ['wrong', '', PASSWORD.slice(0, -1), `${PASSWORD}!`, 'u1', '$7$101$']) {
    await refuses(t, house, door, { clientId, username: 'u1', password }, `the password ${JSON.stringify(password)}`)
  }
  for (const username of ['nobody', '', 'U1', 'u1 ', 'u1:', 'u1,sender', 'anonymous', '$program', '*',
    'undefined', ...PROTOTYPE_NAMES]) {
    await refuses(t, house, door, { clientId, username, password: PASSWORD }, `the user ${JSON.stringify(username)}`)
  }
  await refuses(t, house, door, { clientId }, 'nothing')
  await refuses(t, house, door, { clientId, username: 'u1' }, 'a name alone')
}

async function forgers (t: Test, house: House, { door, names: [asleep] }: Victim): Promise<void> {
  for (const [what, token] of await house.forge.wrong('u1', asleep)) {
    await refuses(t, house, door, { clientId: asleep, token }, `a token: ${what}`)
    await refuses(t, house, door, { clientId: asleep, username: 'u1', token }, `a token and a name: ${what}`)
  }
  for (const sub of ['', '$program', 'anonymous', '$SYS']) {
    await refuses(t, house, door, { clientId: 'stranger', token: await house.forge.good(sub) }, `a token for "${sub}"`)
  }
}

async function thieves (t: Test, house: House, { door, names, awake }: Victim): Promise<void> {
  for (const clientId of names) {
    for (const clean of [false, true]) {
      const who = { clientId, clean }
      await refuses(t, house, door, { ...who, username: 'u2', password: PASSWORD }, `u2 as ${clientId}, clean ${clean}`)
      await refuses(t, house, door, { ...who, username: 'u1', password: 'wrong' }, `a guess at ${clientId}`)
      for (const sub of ['u2', 'U1', 'u1 ', '__proto__']) {
        await refuses(t, house, door, { ...who, token: await house.forge.good(sub) }, `${sub} as ${clientId}`)
      }
    }
    const { principal, clean } = house.holdfast.session(door.sessionOf(clientId))!
    t.same([principal, clean], ['u1', false], `${clientId} is whose it was`)
  }
  t.notOk(awake.isClosed, 'who has the session keeps it')
}

/** An account of their own, and what it has no right to. */
async function members (t: Test, house: House, door: Door, index: number): Promise<void> {
  for (const principal of ['u2', '__proto__', 'constructor']) {
    const who = { clientId: `${principal}-${index}`, ...await credentials(house, principal) }
    const guest = await door.settle(t, house, { username: principal, ...who })
    t.same(await door.overreach(t, house, principal, guest), [], `${principal} is granted nothing`)
    await hearsOnly(t, house, principal, guest, principal)
    await guest.leave()
  }
}

/** Who may subscribe to anything, as each message is looked at when it is delivered. */
async function wideReader (t: Test, house: House): Promise<void> {
  const { holdfast, sender } = house
  await holdfast.publish({ topic: 'shown/wide/kept', payload: '"kept"', retain: true })
  const guest = await TCP.enter(t, house, { clientId: 'wide', username: 'wide', password: PASSWORD })
  const filters = ['#', '+/#', 'shown/#', '+/+/kept', '$share/g/#', '$share/h/+/+/kept']
  for (const filter of filters) await subscribe(guest, filter)
  await until(() => guest.got.length > 0, 'what is retained and may be read')
  await tell(house, 'u1', 'secret')
  await publish1(sender, 'own/u1/kept', '"secret"')
  await holdfast.publish({ topic: 'shown/wide/x', payload: '"shown"' })
  await until(() => guest.got.includes('shown'), 'what may be read')
  t.same([...new Set(guest.got)].sort(), ['kept', 'shown'])
  await guest.leave()
  await holdfast.publish({ topic: 'shown/wide/kept', payload: '', retain: true })
}

/** Names of namespaces that would be wildcards, or levels of others, if they were taken as they are. */
async function namespaces (t: Test, house: House): Promise<void> {
  const door = socketioDoor('4.8', 'websocket')
  for (const [namespace, written] of [['/+', '%2B'], ['/_/user/u1', '_%2Fuser%2Fu1'], ['/__proto__', '__proto__']]) {
    const who = { clientId: 'wanderer', username: 'u2', password: PASSWORD, namespace }
    const guest = await door.enter(t, house, who)
    house.entered.set(`io:${written}:wanderer`, 'u2')
    t.same(await door.overreach(t, house, 'u2', guest), [], `${namespace}: granted nothing`)
    await hearsOnly(t, house, 'u2', guest, namespace, written)
    await guest.leave()
  }
}

function suite (t: Test, house: House, victim: Victim, index: number): void {
  const { door } = victim
  t.test(`[G7] ${door.name}: nobody comes in by a wrong name, password or token`, async (t) => {
    await strangers(t, house, door)
    await forgers(t, house, victim)
  })
  t.test(`[G7] ${door.name}: nobody gets the session of somebody else, or what waits there`, async (t) => {
    await thieves(t, house, victim)
  })
  t.test(`[G7] ${door.name}: nobody hears, says or leaves more than they may, whatever their name is`, async (t) => {
    await members(t, house, door, index)
  })
}

t.test('[G7] an intruder at every door gets nothing and leaves nothing', async (t) => {
  const house = await openHouse(t)
  const { holdfast, sender } = house
  await publish1(sender, 'own/u1/kept', '"kept"', 1, { retain: true })
  const victims: Victim[] = []
  for (const [index, door] of DOORS.entries()) victims.push(await settleVictim(t, house, door, index))
  const watch = await holdfast.subscribe(['#', '$x', '$SYS/x', '$inbox/#', '$holdfast/#'])
  await tell(house, 'u1', 'secret')

  for (const [index, victim] of victims.entries()) suite(t, house, victim, index)

  t.test('[G7] who may subscribe to everything gets what they may read', async (t) => { await wideReader(t, house) })
  t.test('[G7] no namespace opens another', async (t) => { await namespaces(t, house) })

  t.test('what was sent meanwhile is what the sender sent', async (t) => {
    await publish1(sender, 'own/u1/end', '"end"')
    const others: string[] = []
    for await (const { principal, topic, retain } of watch) {
      if (!['sender', '$program'].includes(principal)) others.push(`${topic} by ${principal}`)
      if (!retain && topic === 'own/u1/end') break
    }
    t.same(others, [])
  })

  t.test('nothing durable is left of an intruder', async (t) => {
    const sessions = [...holdfast.sessions()].filter(({ principal }) => principal !== 'sender')
    t.same(sessions.filter(({ clientId, principal }) => house.entered.get(clientId) !== principal), [])
    const foreign = sessions.flatMap(({ principal, filters }) => filters
      .filter(({ filter }) => !new RegExp(`^io/[^/]+/(all|user/${principal})/\\+$`).test(filter)))
    t.same(foreign, [])
    t.equal(holdfast.stats().retained, 1)
    const kept: string[] = []
    for await (const { topic, payload } of await holdfast.subscribe('own/#')) {
      kept.push(`${topic} ${String(payload)}`)
      break
    }
    t.same(kept, ['own/u1/kept "kept"'])
  })

  t.test('[G2] what waited comes to u1 alone, who is away and who is here', async (t) => {
    await tell(house, 'u1', 'the last')
    for (const { door, asleep, awake } of victims) {
      const back = await door.enter(t, house, { ...asleep, clean: false })
      for (const guest of [awake, back]) {
        await until(() => guest.got.includes('the last'), `what u1 was told, at ${door.name}`)
        t.same(guest.got, house.told, door.name)
      }
    }
  })
})
