import t from 'tap'
import { addEncoding, CODECS, encodingOf, type Encoding } from '../../broker/model/encodings.ts'
import {
  extensionBytes, isExpired, messageBytes, Placed, type Message, type Offset, type TimeMs
} from '../../broker/model/message.ts'

const message = (): Message => ({
  topic: 'a', payload: Buffer.from('x'), qos: 1, retain: false, publisher: 'p', principal: 'p', time: 0, id: ''
} as unknown as Message)
const made = (codec: Encoding['codec']): Encoding => ({ codec, next: undefined })

t.test('each codec finds its own encoding, the newest; what messages share is not changed', async t => {
  const one = message()
  t.equal(encodingOf(one, CODECS.mqtt3), undefined)
  one.encodings = null
  t.equal(encodingOf(one, CODECS.mqtt3), undefined)
  const envelope = addEncoding(one, made(CODECS.envelope))
  const placed = new Placed(one, 1 as Offset)
  const wire = addEncoding(placed, made(CODECS.mqtt3))
  t.equal(encodingOf(placed, CODECS.mqtt3), wire)
  t.equal(encodingOf(placed, CODECS.envelope), envelope)
  t.equal(encodingOf(one, CODECS.mqtt3), undefined, 'made of the entry alone')
  const newer = addEncoding(placed, made(CODECS.mqtt3))
  t.equal(encodingOf(placed, CODECS.mqtt3), newer)
  t.equal(encodingOf(placed, CODECS.mqtt5), undefined)
})

t.test('[G6] what a publisher says beside the payload counts', async t => {
  const extension = {
    contentType: 'ab', responseTopic: 'abc', correlationData: Buffer.alloc(5), unknown: Buffer.alloc(7),
    userProperties: [['n', 'vv'], ['n', '']] as const, producer: { name: 'four', sequence: 9 }
  }
  t.equal(extensionBytes(undefined), 0)
  t.equal(extensionBytes({}), 0)
  t.equal(extensionBytes(extension), 2 + 3 + 5 + 7 + 4 + 4)
  t.equal(messageBytes({ ...message(), extension }), 2 + 25)
})

t.test('[G9] a message expires at its time, not before', async t => {
  t.equal(isExpired({ extension: undefined }, Infinity as TimeMs), false)
  t.equal(isExpired({ extension: {} }, Infinity as TimeMs), false)
  t.equal(isExpired({ extension: { expiresAt: 5 as TimeMs } }, 4 as TimeMs), false)
  t.equal(isExpired({ extension: { expiresAt: 5 as TimeMs } }, 5 as TimeMs), true)
})
