import { crc32 } from 'node:zlib'
import t from 'tap'
import { CRC_RESIDUE, withoutFlippedBit } from '../../broker/store/crc.ts'
import { decodeRecord, encodeRecord, mendRecord } from '../../broker/store/layout.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

function sound (length: number): Buffer {
  const bytes = Buffer.alloc(length + 4, 0x5A)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, length)), length)
  return bytes
}

function flip (bytes: Buffer, ...bits: number[]): Buffer {
  const copy = Buffer.from(bytes)
  for (const bit of bits) copy[bit >> 3] ^= 1 << (bit & 7)
  return copy
}

t.test('any one bit that was flipped is put right, in the checksum too', async t => {
  for (const length of [0, 1, 7, 200]) {
    const bytes = sound(length)
    t.equal(crc32(bytes), CRC_RESIDUE)
    let wrong = 0
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      if (withoutFlippedBit(flip(bytes, bit))?.equals(bytes) !== true) wrong++
    }
    t.equal(wrong, 0, `${length} bytes`)
  }
})

t.test('two flipped bits are never taken for one', async t => {
  const bytes = sound(60)
  let taken = 0
  for (let a = 0; a < bytes.length * 8; a++) {
    for (let b = 0; b < a; b++) if (withoutFlippedBit(flip(bytes, a, b)) !== undefined) taken++
  }
  t.equal(taken, 0)
})

t.test('long ones are left alone: other damage would too often pass for one bit', async t => {
  t.equal(withoutFlippedBit(flip(sound(1_100), 3)), undefined)
  t.same(withoutFlippedBit(flip(sound(1_020), 3)), sound(1_020))
})

t.test('a record is damaged with any bit of its key or value, and mended; noise is neither', async t => {
  const { key, value } = encodeRecord('cursors', 'client-7', Buffer.from('what a cursor holds'), 77 as never)
  t.match(decodeRecord(key, value), { key: 'client-7', value: Buffer.from('what a cursor holds'), at: 77 })
  const all = Buffer.concat([key, value])
  for (let bit = 0; bit < all.length * 8; bit++) {
    const bad = flip(all, bit)
    const [badKey, badValue] = [bad.subarray(0, key.length), bad.subarray(key.length)]
    if (decodeRecord(badKey, badValue) !== undefined) t.fail(`bit ${bit} is not seen`)
    if (mendRecord(badKey, badValue)?.key.equals(key) !== true) t.fail(`bit ${bit} is not put right`)
  }
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  for (let n = 0; n < 300; n++) {
    const noise = Buffer.from(Array.from({ length: n }, () => random.int(256)))
    if (decodeRecord(key, noise) !== undefined) t.fail(`${n} bytes of noise pass for a record`)
  }
  t.pass('all bits were tried')
})
