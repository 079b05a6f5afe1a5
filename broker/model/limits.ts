/**
 * Every bound of the broker in one place [G6]; the configuration schema fills it and says what happens at each.
 */
export interface Limits {
  // what may come in
  packetBytesMax: number
  /** A larger one that is read through and dropped. */
  skippedPacketBytesMax: number
  /** Before CONNECT is accepted. */
  connectPacketBytesMax: number
  connectTimeoutMs: number
  connectionsMax: number
  clientIdBytesMax: number
  topicBytesMax: number
  topicLevelsMax: number
  /** Bytes of messages of one connection that wait for the disk; beyond it the connection is not read. */
  pendingBytesMax: number
  /** Messages of one MQTT connection that wait for the disk; beyond it the connection is not read. */
  pendingMessagesMax: number
  /** QoS 2 messages of one session received and not yet released. */
  incomingMax: number

  // sessions
  sessionsMax: number
  filtersPerSessionMax: number
  inflightMessagesMax: number
  backlogMessagesMax: number
  backlogBytesMax: number
  backlogAgeMsMax: number
  /** Queue of a clean session whose window is full. */
  cleanQueueMessagesMax: number
  cleanQueueBytesMax: number
  /** How long a message waits for a person without a session; 0: not at all. */
  keepForUsersMs: number
  /** Messages that wait for one such person; beyond it the oldest go. */
  keepForUsersMessagesMax: number
  /** People for whom something waits. */
  keepForUsersMax: number
  /** Messages set aside for one session; beyond it the oldest go. */
  setAsideMessagesMax: number
  /** Deliveries in vain until a message is set aside. */
  redeliveriesMax: number
  /** How long a connection holds without such a message at least, before that is tried alone; and at most. */
  trialHoldMs: number
  trialHoldMsMax: number
  /** Takeovers of one session that are not slowed down. */
  takeoversFreeMax: number
  /** In this time one takeover is forgotten. */
  takeoverQuietMs: number
  takeoverWaitMsMax: number
  /** So long before what a client has shown expires it is asked for more. */
  renewBeforeMs: number

  // slow connections
  /** Bytes written to a connection and not yet taken by it; beyond it nothing more is sent (QoS 0 is dropped). */
  writeBufferBytesMax: number
  /** A connection whose write buffer makes no progress for so long is cut. */
  stallTimeoutMs: number
  /** A connection that leaves a message unacknowledged for so long is cut. */
  ackTimeoutMs: number

  // the log
  logBytesMax: number
  retainedMessagesMax: number
  /** Share of the heap of the process that may be held; beyond it nothing is taken in that would be kept. */
  heapPercentMax: number
  /** Recent messages kept in memory for sessions that lag a little. */
  cacheBytesMax: number
  /** Largest group of messages that share a sync. */
  batchBytesMax: number
  /** How often moved cursors are written. */
  cursorFlushMs: number
  /** Size of each of the two files of cursors that are not yet written. */
  notesBytesMax: number
  /** How often trimming, expiry and backlog bounds are looked after. */
  sweepMs: number
}

export const DEFAULT_LIMITS: Readonly<Limits> = Object.freeze({
  packetBytesMax: 1_048_576,
  skippedPacketBytesMax: 67_108_864,
  connectPacketBytesMax: 65_536,
  connectTimeoutMs: 10_000,
  connectionsMax: 10_000,
  clientIdBytesMax: 256,
  topicBytesMax: 1_024,
  topicLevelsMax: 32,
  pendingBytesMax: 4_194_304,
  pendingMessagesMax: 1_024,
  incomingMax: 65_535,
  sessionsMax: 1_000_000,
  filtersPerSessionMax: 10_000,
  inflightMessagesMax: 64,
  backlogMessagesMax: 1_000_000,
  backlogBytesMax: 1_073_741_824,
  backlogAgeMsMax: 604_800_000,
  cleanQueueMessagesMax: 10_000,
  cleanQueueBytesMax: 16_777_216,
  keepForUsersMs: 0,
  keepForUsersMessagesMax: 1_000,
  keepForUsersMax: 10_000,
  setAsideMessagesMax: 100,
  redeliveriesMax: 10,
  trialHoldMs: 1_000,
  trialHoldMsMax: 600_000,
  takeoversFreeMax: 8,
  takeoverQuietMs: 6_000,
  takeoverWaitMsMax: 5_000,
  renewBeforeMs: 30_000,
  writeBufferBytesMax: 1_048_576,
  stallTimeoutMs: 60_000,
  ackTimeoutMs: 300_000,
  logBytesMax: 68_719_476_736,
  retainedMessagesMax: 1_000_000,
  heapPercentMax: 75,
  cacheBytesMax: 134_217_728,
  batchBytesMax: 8_388_608,
  cursorFlushMs: 500,
  notesBytesMax: 16_777_216,
  sweepMs: 250
})
