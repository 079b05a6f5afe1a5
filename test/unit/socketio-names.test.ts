import t from 'tap'
import {
  decodeName, encodeName, encodeNamespace, eventTopic, scopeFilter, sessionId, topicEvent, transientSessionId
} from '../../protocol/names.ts'

/** Every name here must be safe as a level, come back as it was, and be unlike every other. */
const NAMES = [
  '', '-', '%', '%-', '%%', '%25', '%2', '%zz', '%u', '%uD800', '%uD83D', '%2F', '/', '//', 'a/b', '+', '#', 'a+', '$',
  '$SYS', 'a$', '%24', '\u0000', 'a\u0000b', '%00', '\n', '\u007f', '\u0080', '\u009f', '%C2%80',
  '\ud800', '\udc00', '\udc00\ud800', '\ud83d', '\ud83d\ude00', '\ud83d\ud83d\ude00', '\ud83d\ude00\ude00',
  '%uD83D%uDE00',
  '\ufeff', '%EF%BB%BF', '\uffff', 'U1', 'u1', 'é', 'e\u0301', 'ß', '日本',
  ':', '%3A', '_', '%5F', '__proto__', 'constructor', 'toString', 'message', ' ', '  '
]

t.test('a name becomes one level that is safe in a topic and comes back unchanged', async t => {
  for (const name of NAMES) {
    const level = encodeName(name)
    t.equal(decodeName(level), name, JSON.stringify(name))
    t.notMatch(level, /[/+#\u0000]/, `no special character in ${level}`)
    t.not(level, '')
    t.not(level[0], '$')
    t.equal(Buffer.from(level).toString(), level, 'survives UTF-8')
  }
})

t.test('two different names never encode alike', async t => {
  t.equal(new Set(NAMES.map(encodeName)).size, new Set(NAMES).size)
  t.equal(new Set(NAMES.map(name => encodeNamespace(`/${name}`))).size, new Set(NAMES).size)
  const sessions = NAMES.flatMap(namespace => NAMES.map(client => sessionId(`/${namespace}`, client)))
  const made = NAMES.flatMap(namespace => NAMES.map(client => transientSessionId(`/${namespace}`, client)))
  t.equal(new Set(sessions).size, new Set(NAMES).size ** 2)
  t.notOk(made.some(id => sessions.includes(id)), 'nobody can ask for a session that was made up')
})

t.test('[G8] a name that no topic can hold is not looked at, in either direction', async t => {
  for (const name of ['%', '/', '\ud800', ':', '$'].map(character => character.repeat(65_536))) {
    t.equal(encodeName(name), name, 'as it was: whatever has it as a part is refused by its length')
    t.equal(decodeName(name), name)
  }
  t.equal(decodeName(encodeName('%'.repeat(10_000))), '%'.repeat(10_000))
})

t.test('every single character and every pair with a special one comes back unchanged', async t => {
  const seen = new Set<string>()
  for (let code = 0; code <= 0xffff; code++) {
    const name = String.fromCharCode(code)
    const level = encodeName(name)
    if (decodeName(level) !== name) t.fail(`U+${code.toString(16)} became ${level}`)
    if (seen.has(level)) t.fail(`U+${code.toString(16)} encodes like another: ${level}`)
    seen.add(level)
    for (const other of ['%', '$', '\ud800', '\udc00', '2']) {
      if (decodeName(encodeName(name + other)) !== name + other) t.fail(`U+${code.toString(16)} before ${other}`)
      if (decodeName(encodeName(other + name)) !== other + name) t.fail(`U+${code.toString(16)} after ${other}`)
    }
  }
  t.equal(seen.size, 0x10000)
})

t.test('the encoding is what it is, byte by byte', async t => {
  t.equal(encodeName('a/b+c#d%e'), 'a%2Fb%2Bc%23d%25e')
  t.equal(encodeName('$x$'), '%24x$')
  t.equal(encodeName(''), '%-')
  t.equal(encodeName('\u0000'), '%00')
  t.equal(encodeName('\ud800x'), '%uD800x')
  t.equal(encodeName('\u0085'), '%C2%85')
  t.equal(encodeName('temperature in °C'), 'temperature in °C')
})

t.test('a level that was written by hand stands for itself', async t => {
  for (const level of ['100%', '%zz', '%2f', '%41', 'a%-', '%-%-', '%uD83D%uDE00', '%FF', '%u0041', '$x', '']) {
    t.equal(decodeName(level), level)
  }
})

t.test('topics, filters and sessions are made of encoded names', async t => {
  t.equal(eventTopic('/', { all: true }, 'news'), 'io/_/all/news')
  t.equal(eventTopic('/', { user: 'U1' }, 'alert'), 'io/_/user/U1/alert')
  t.equal(eventTopic('/a/b', { room: 'x/y' }, '#'), 'io/a%2Fb/room/x%2Fy/%23')
  t.equal(scopeFilter('/', { user: 'U1' }), 'io/_/user/U1/+')
  t.equal(scopeFilter('/_', { room: '+' }), 'io/%5F/room/%2B/+')
  t.equal(topicEvent('io/_/all/a%2Fb'), 'a/b')
  t.equal(topicEvent('io/_/all/'), '')
  t.equal(sessionId('/', 'U1'), 'io:_:U1')
  t.equal(sessionId('/', ':U1'), 'io:_:%3AU1')
  t.equal(transientSessionId('/', 'x'), 'io:_::x')
})
