/**
 * Storage engines on the work of the log: `npm run build && node bench/engines.mjs [FOLDER]`.
 *
 * Durable appends of 250-byte messages in batches, each synced before the next: median time of a batch, messages a
 * second at that, and how long the event loop stands still while five of them are written (median of the longest).
 * Then reading all back in order, and trimming all, 1,000 at a time. Each engine with a key for each message and with a
 * block for each batch, and the embedded store as it is. The engines take turns within each size.
 *
 * Rivals that are not dependencies of Holdfast are installed into a temporary folder first. FOLDER is where the data
 * goes: the numbers are those of its disk, and only ratios of one run mean anything elsewhere.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { open as openLmdb } from 'lmdb'
import { encodeBlock } from '../dist/broker/store/block.js'
import { createEmbeddedStore } from '../dist/broker/store/embedded.js'

const RIVALS = { 'classic-level': '^3.0.0', 'better-sqlite3': '^12.0.0' }
const SLICE_BATCHES = 5
const WORK = [{ batch: 10, slices: 40 }, { batch: 200, slices: 20 }, { batch: 1_000, slices: 10 }]
const TRIM = 1_000
const MESSAGE_BYTES = 250

let made = 0

const require = rivals()
const base = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'holdfast-engines-'))
try {
  await main()
} finally {
  rmSync(base, { recursive: true, force: true })
}

async function main () {
  const open = {
    'embedded store': store,
    'lmdb, a block a batch': dir => keyed(lmdb(dir), true),
    'lmdb, a key a message': dir => keyed(lmdb(dir), false),
    'classic-level, a block a batch': async dir => keyed(await level(dir), true),
    'classic-level, a key a message': async dir => keyed(await level(dir), false),
    'better-sqlite3, a block a batch': dir => keyed(sqlite(dir), true),
    'better-sqlite3, a key a message': dir => keyed(sqlite(dir), false)
  }
  const runs = []
  for (const [name, make] of Object.entries(open)) {
    const dir = join(base, name.replaceAll(/[^\w-]/g, '_'))
    mkdirSync(dir)
    runs.push({ name, engine: await make(dir), appended: 0, row: {} })
  }
  for (const work of WORK) await append(runs, work)
  for (const run of runs) await readAndTrim(run)
  for (const { engine } of runs) await engine.close()
  print(runs)
}

/** All engines in turn, a few batches each, so that what else the disk does meets them alike. */
async function append (runs, { batch, slices }) {
  const seen = new Map(runs.map(run => [run, { ms: [], loop: [] }]))
  for (let slice = 0; slice < slices; slice++) {
    for (const run of runs) {
      const { ms, loop } = seen.get(run)
      const delay = monitorEventLoopDelay({ resolution: 1 })
      const groups = Array.from({ length: SLICE_BATCHES }, () => messages(batch))
      await new Promise(resolve => setTimeout(resolve, 5))
      delay.enable()
      for (const group of groups) {
        const start = performance.now()
        await run.engine.append(group)
        ms.push(performance.now() - start)
        await new Promise(setImmediate) // or an engine that blocks the loop would not be seen to
      }
      delay.disable()
      loop.push(delay.max / 1e6)
      run.appended += batch * SLICE_BATCHES
    }
    runs.push(runs.shift())
  }
  for (const [{ row }, { ms, loop }] of seen) {
    row[`${batch}: ms`] = median(ms).toFixed(2)
    row[`${batch}: msg/s`] = rate(batch / median(ms) * 1000)
    row[`${batch}: loop ms`] = median(loop).toFixed(1)
  }
}

async function readAndTrim ({ name, engine, appended, row }) {
  let start = performance.now()
  const found = await engine.readAll(appended)
  if (found !== appended) throw new Error(`${name}: ${found} of ${appended} messages read back`)
  row['read msg/s'] = rate(appended / seconds(start))
  start = performance.now()
  for (let from = 1; from <= appended; from += TRIM) await engine.trim(from, Math.min(from + TRIM - 1, appended))
  row['trim msg/s'] = rate(appended / seconds(start))
}

function median (numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]
}

function rate (perSecond) {
  return Math.round(perSecond).toLocaleString('en')
}

function seconds (start) {
  return (performance.now() - start) / 1000
}

function messages (count) {
  return Array.from({ length: count }, () => ({
    topic: `inbox/user-${made++ % 1000}`,
    payload: Buffer.alloc(MESSAGE_BYTES - 20, 'x'),
    qos: 1,
    retain: false,
    publisher: `client-${made % 16}`,
    principal: 'anonymous',
    time: Date.now(),
    id: ''
  }))
}

/** The same work on any ordered store of keys and values; `blocks` puts a batch under the key of its last message. */
function keyed (engine, blocks) {
  let tail = 0
  const kept = []
  return {
    append (group) {
      const puts = []
      if (blocks) {
        tail += group.length
        kept.push({ last: tail, count: group.length })
        puts.push([keyOf(tail), encodeBlock(tail - group.length + 1, group)])
      } else {
        for (const message of group) puts.push([keyOf(++tail), encodeBlock(tail, [message])])
      }
      return engine.write(puts, [])
    },
    async readAll () {
      const values = await engine.count()
      return blocks ? kept.reduce((sum, { count }) => sum + count, 0) * (values === kept.length ? 1 : 0) : values
    },
    trim (first, last) {
      const gone = []
      if (blocks) while (kept.length > 0 && kept[0].last <= last) gone.push(keyOf(kept.shift().last))
      else for (let offset = first; offset <= last; offset++) gone.push(keyOf(offset))
      return engine.write([], gone)
    },
    close: () => engine.close()
  }
}

function keyOf (offset) {
  const key = Buffer.allocUnsafe(8)
  key.writeBigUInt64BE(BigInt(offset))
  return key
}

async function store (folder) {
  const store = createEmbeddedStore({ folder })
  await store.open()
  const numbers = (first, last) => Array.from({ length: last - first + 1 }, (_, i) => first + i)
  return {
    append: messages => store.append({ messages, changes: [], trim: [] }),
    async readAll (total) {
      let found = 0
      for (let from = 1; from <= total; from += 64) found += (await store.read(numbers(from, from + 63))).length
      return found
    },
    trim: (first, last) => store.append({ messages: [], changes: [], trim: numbers(first, last) }),
    close: () => store.close()
  }
}

function lmdb (path) {
  const db = openLmdb({ path, encoding: 'binary', keyEncoding: 'binary', overlappingSync: false, mapSize: 2 ** 40 })
  return {
    async write (puts, gone) {
      let last
      for (const [key, value] of puts) last = db.put(key, value)
      for (const key of gone) last = db.remove(key)
      await last
    },
    async count () {
      let n = 0
      for (const { value } of db.getRange({ start: Buffer.from([0]) })) if (value.length > 0) n++
      return n
    },
    close: () => db.close()
  }
}

async function level (path) {
  const { ClassicLevel } = require('classic-level')
  const db = new ClassicLevel(path, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  await db.open()
  return {
    write: (puts, gone) => db.batch([
      ...puts.map(([key, value]) => ({ type: 'put', key, value })),
      ...gone.map(key => ({ type: 'del', key }))
    ], { sync: true }),
    async count () {
      let n = 0
      for await (const value of db.values({ highWaterMarkBytes: 1_048_576 })) if (value.length > 0) n++
      return n
    },
    close: () => db.close()
  }
}

function sqlite (path) {
  const db = new (require('better-sqlite3'))(join(path, 'log.db'))
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  db.exec('CREATE TABLE log (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID')
  const put = db.prepare('INSERT INTO log VALUES (?, ?)')
  const remove = db.prepare('DELETE FROM log WHERE key = ?')
  return {
    write: db.transaction((puts, gone) => {
      for (const [key, value] of puts) put.run(key, value)
      for (const key of gone) remove.run(key)
    }),
    async count () {
      let n = 0
      for (const { value } of db.prepare('SELECT value FROM log ORDER BY key').iterate()) if (value.length > 0) n++
      return n
    },
    close: () => db.close()
  }
}

/** Packages to compare with, from a folder of their own. */
function rivals () {
  const folder = join(tmpdir(), 'holdfast-bench-rivals')
  if (Object.keys(RIVALS).some(name => !existsSync(join(folder, 'node_modules', name)))) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    const wanted = Object.entries(RIVALS).map(([name, version]) => `${name}@${version}`)
    execFileSync('npm', ['install', '--no-audit', '--no-fund', ...wanted], { cwd: folder, stdio: 'inherit' })
  }
  return createRequire(join(folder, 'package.json'))
}

function print (runs) {
  const columns = Object.keys(runs[0].row)
  console.log(`node ${process.version}, ${cpus()[0].model}, ${cpus().length} cores, load ${loadavg()[0].toFixed(1)}\n`)
  console.log(`| engine | ${columns.join(' | ')} |`)
  console.log(`|---|${columns.map(() => '---:').join('|')}|`)
  for (const { name, row } of runs.toSorted((a, b) => a.name < b.name ? -1 : 1)) {
    console.log(`| ${name} | ${columns.map(column => row[column]).join(' | ')} |`)
  }
}
