/** Bounds of the broker [G6]: each field of the broker's Limits, under its name, with the default that stands there. */
import { DEFAULT_LIMITS as LIMITS } from '../broker/model/limits.ts'
import { AGE_MS_MAX, STORED_BYTES_MAX, TIMER_MS_MAX, bytes, count, ms, percent } from './option.ts'

/** MQTT 3.1.1, 2.2.3: the largest remaining length that the wire can say. */
const MQTT_PACKET_BYTES_MAX = 268_435_455
/** Packet identifiers are 1 to 65,535 (MQTT 3.1.1, 2.3.1). */
const PACKET_IDS = 65_535
/** Buffers in memory: up to 64 GiB. */
const MEMORY_BYTES = { min: 1, max: 68_719_476_736 }
const TIMER_MS = { min: 1, max: TIMER_MS_MAX }

export const LIMIT_OPTIONS = {
  packetBytesMax: bytes('incoming', { min: 128, max: MQTT_PACKET_BYTES_MAX }, LIMITS.packetBytesMax,
    'Largest MQTT packet, and largest Socket.IO message, that is taken in. A larger message over MQTT is ' +
    'refused (see refusedMessages and skippedPacketBytesMax); any other connection that sends a larger one is closed.'),
  skippedPacketBytesMax: bytes('incoming', { min: 0, max: MQTT_PACKET_BYTES_MAX }, LIMITS.skippedPacketBytesMax,
    'Largest message over MQTT that is read through, without being held, when it is over packetBytesMax, so that its ' +
    'client can go on. A connection that sends a larger one is closed; 0: each is.'),
  connectPacketBytesMax: bytes('incoming', { min: 128, max: MQTT_PACKET_BYTES_MAX }, LIMITS.connectPacketBytesMax,
    'Largest packet that a client may send before its CONNECT is accepted: what a stranger can make the server hold. ' +
    'A connection that sends a larger one is closed. For Socket.IO also what the CONNECT packets of one connection, ' +
    'which carry auth, may take together.'),
  connectTimeoutMs: ms('incoming', TIMER_MS, LIMITS.connectTimeoutMs,
    'Time a new connection has to send a complete CONNECT, or the complete head of an HTTP request. ' +
    'After it the connection is closed. A program\'s own authenticate, identify, mayPublish and maySubscribe have as ' +
    'long to answer; after it the client is refused, a message gets no receipt and its connection ends, and a filter ' +
    'gets 0x80, whatever comes later.'),
  connectionsMax: count('incoming', { min: 1, max: 10_000_000 }, LIMITS.connectionsMax,
    'Connections that are open at the same time, over TCP and, counted apart, over HTTP. Further ones are closed at ' +
    'once and logged.'),
  clientIdBytesMax: bytes('incoming', { min: 23, max: 1_024 }, LIMITS.clientIdBytesMax,
    'Longest client identifier. A client with a longer one is refused (MQTT return code 2).'),
  topicBytesMax: bytes('incoming', { min: 1, max: 1_876 }, LIMITS.topicBytesMax,
    'Longest topic or topic filter. A message to a longer topic is refused (see refusedMessages); a longer filter is ' +
    'refused with 0x80.'),
  topicLevelsMax: count('incoming', { min: 1, max: 1_000 }, LIMITS.topicLevelsMax,
    'Most levels (parts between slashes) of a topic or topic filter. Deeper ones are refused as longer ones are.'),
  pendingBytesMax: bytes('incoming', MEMORY_BYTES, LIMITS.pendingBytesMax,
    'Bytes of messages of one connection that wait for the disk. At the bound the connection is not read until some ' +
    'are on disk; nothing is lost.'),
  pendingMessagesMax: count('incoming', { min: 1, max: 1_000_000 }, LIMITS.pendingMessagesMax,
    'Messages of one MQTT connection that wait for the disk. At the bound the connection is not read until half of ' +
    'them are on disk; nothing is lost. What others publish waits behind them.'),
  incomingMax: count('incoming', { min: 1, max: PACKET_IDS }, LIMITS.incomingMax,
    'QoS 2 messages of one session that were received and not yet released by PUBREL. A client that sends more is ' +
    'disconnected: what would make room is behind it. The default is all the packet identifiers there are, as ' +
    'clients send bursts.'),

  sessionsMax: count('sessions', { min: 1, max: 100_000_000 }, LIMITS.sessionsMax,
    'Sessions, attached and detached. At the bound a client that would need a new one is refused; existing ones go ' +
    'on.'),
  filtersPerSessionMax: count('sessions', { min: 1, max: 10_000_000 }, LIMITS.filtersPerSessionMax,
    'Topic filters of one session. A further subscription is refused (0x80).'),
  inflightMessagesMax: count('sessions', { min: 1, max: PACKET_IDS }, LIMITS.inflightMessagesMax,
    'Messages sent to one session and not yet acknowledged. At the bound the rest waits in the log until ' +
    'acknowledgements come.'),
  backlogMessagesMax: count('sessions', { min: 1, max: 1_000_000_000 }, LIMITS.backlogMessagesMax,
    'Messages that wait for one session. Beyond it the session skips the oldest, and is told how many [G5].'),
  backlogBytesMax: bytes('sessions', { min: 1, max: STORED_BYTES_MAX }, LIMITS.backlogBytesMax,
    'Bytes (topics and payloads) that wait for one session. Beyond it the session skips the oldest messages, ' +
    'and is told how many [G5].'),
  backlogAgeMsMax: ms('sessions', { min: 1, max: AGE_MS_MAX }, LIMITS.backlogAgeMsMax,
    'Age up to which a message waits for a session. The session skips older ones, and is told how many [G5].'),
  cleanQueueMessagesMax: count('sessions', { min: 1, max: 10_000_000 }, LIMITS.cleanQueueMessagesMax,
    'Messages that wait in memory for a connected clean session whose window is full. Further ones are left out, ' +
    'counted, and the session is told [G5].'),
  cleanQueueBytesMax: bytes('sessions', MEMORY_BYTES, LIMITS.cleanQueueBytesMax,
    'Bytes that wait in memory for a connected clean session whose window is full. What does not fit is left out, ' +
    'counted, and the session is told [G5].'),
  keepForUsersMs: ms('sessions', { min: 0, max: AGE_MS_MAX }, LIMITS.keepForUsersMs,
    'How long a message waits for a person (`io/<namespace>/user/<person>/...`) who has no session there yet, at ' +
    'most backlogAgeMsMax; their first kept session gets it. 0: not at all. Needs authentication, which says who a ' +
    'person is. Whoever may write to an inbox can make one: see keepForUsersMax.'),
  keepForUsersMessagesMax: count('sessions', { min: 1, max: 1_000_000 }, LIMITS.keepForUsersMessagesMax,
    'Messages that wait for one such person. Beyond it the oldest go, and the person is told how many [G5].'),
  keepForUsersMax: count('sessions', { min: 1, max: 10_000_000 }, LIMITS.keepForUsersMax,
    'People for whom messages wait like this; each counts for sessionsMax. At the bound what comes for one more is ' +
    'not kept (its publisher is told: 0 sessions), and the log says so.'),
  setAsideMessagesMax: count('sessions', { min: 1, max: 10_000 }, LIMITS.setAsideMessagesMax,
    'Messages of one session that are set aside and kept (see redeliveriesMax). Beyond it the oldest of them go, ' +
    'counted and logged.'),
  redeliveriesMax: count('sessions', { min: 2, max: 1_000 }, LIMITS.redeliveriesMax,
    'Deliveries of a message in vain until it is set aside: kept (see setAsideMessagesMax), logged, and listed by ' +
    '"holdfast sessions", while the session goes on without it. Those count that break the connection, where the ' +
    'link held without the message (see trialHoldMs). Over MQTT those count as well that are not ' +
    'acknowledged in ackTimeoutMs by a client that has shown that it took them; half as many let other messages pass.'),
  trialHoldMs: ms('sessions', TIMER_MS, LIMITS.trialHoldMs,
    'After half of redeliveriesMax connections broke with a message, it waits so long for the next one to break ' +
    'without it, and is then sent alone; after each further one 2, 4, 8 ... times as long; on top of that as long ' +
    'as it ever took such a connection to break. A client that takes longer than half of this to break is given the ' +
    'benefit of the doubt where the server had to answer it meanwhile.'),
  trialHoldMsMax: ms('sessions', TIMER_MS, LIMITS.trialHoldMsMax,
    'Longest such wait. Where connections live longer than that, only those count that break at once.'),
  takeoversFreeMax: count('sessions', { min: 1, max: 1_000_000 }, LIMITS.takeoversFreeMax,
    'Takeovers of one session (a client comes under its identifier while another connection has it) that are let ' +
    'through at once. A further one waits, 250 ms at first and each time twice as long, while the present connection ' +
    'goes on; the log names the client.'),
  takeoverQuietMs: ms('sessions', TIMER_MS, LIMITS.takeoverQuietMs,
    'In this time one takeover is forgotten: one so often, on average, never waits.'),
  takeoverWaitMsMax: ms('sessions', { min: 0, max: TIMER_MS_MAX }, LIMITS.takeoverWaitMsMax,
    'Longest wait of a takeover, at most half of connectTimeoutMs; 0: none waits. It ends as soon as the present ' +
    'connection does. If a third connection comes meanwhile, it waits in place of the second, which is closed.'),
  renewBeforeMs: ms('sessions', { min: 0, max: TIMER_MS_MAX }, 30_000,
    'How long before the proof of a client (a token) expires its client is told, but not before half of its time is ' +
    'over: Socket.IO clients get the event holdfast:renew. Whoever brings no fresh one in time is disconnected; the ' +
    'session goes on.'),

  writeBufferBytesMax: bytes('slow', MEMORY_BYTES, LIMITS.writeBufferBytesMax,
    'Bytes written to one connection and not yet taken by it. Beyond it nothing more is sent until it takes some: ' +
    'QoS 1 and 2 wait in the log, QoS 0 is dropped and counted.'),
  stallTimeoutMs: ms('slow', TIMER_MS, LIMITS.stallTimeoutMs,
    'Time a connection may go without taking any of the bytes written to it. Then it is cut; its session goes on.'),
  ackTimeoutMs: ms('slow', TIMER_MS, LIMITS.ackTimeoutMs,
    'Time a connection may leave a message unacknowledged. Then it is cut; the session sends the message again when ' +
    'its client comes back.'),

  logBytesMax: bytes('log', { min: 1, max: STORED_BYTES_MAX }, LIMITS.logBytesMax,
    'Size of the messages kept on disk. At the bound publishers of QoS 1 and 2 get no receipt and are disconnected ' +
    'until sessions have moved on.'),
  retainedMessagesMax: count('log', { min: 1, max: 1_000_000_000 }, LIMITS.retainedMessagesMax,
    'Topics with a retained message. At the bound a retained message for a further topic is not taken in.'),
  heapPercentMax: percent('log', { min: 10, max: 90 }, LIMITS.heapPercentMax,
    'Share of the heap of the process (--max-old-space-size of Node.js) that may be held. At the bound publishers of ' +
    'QoS 1 and 2 get no receipt and are disconnected, and new sessions and filters are refused, until there is room; ' +
    '/readyz is 503. What is there is delivered meanwhile.'),
  cacheBytesMax: bytes('log', { min: 0, max: 68_719_476_736 }, LIMITS.cacheBytesMax,
    'Memory for recent messages, for sessions that lag a little: of each what it really takes, some 400 bytes beside ' +
    'topic and payload. At most an eighth of the heap of the process. Older ones are read from disk.'),
  batchBytesMax: bytes('log', MEMORY_BYTES, LIMITS.batchBytesMax,
    'Largest group of messages that share one sync to disk. What does not fit waits for the next.'),
  cursorFlushMs: ms('log', { min: 1, max: 60_000 }, LIMITS.cursorFlushMs,
    'How often the places that sessions have reached are written and synced. What was acknowledged since may be sent ' +
    'again, marked as a duplicate [G4]: all of it after the machine went down, at most two windows of a session ' +
    '(inflightMessagesMax) after the process was killed; nothing is lost.'),
  notesBytesMax: bytes('log', { min: 0, max: 68_719_476_736 }, LIMITS.notesBytesMax,
    'Size of each of the two files in which places are noted until they are written. What does not fit is left out ' +
    'until the next time (cursorFlushMs); after a crash more is sent again.'),
  sweepMs: ms('log', { min: 1, max: 60_000 }, LIMITS.sweepMs,
    'How often expiry, trimming of the log and the bounds on backlogs are looked after.')
} as const
