/** Topic names and topic filters: validation and matching (MQTT 3.1.1, section 4.7). Pure. */
import { HoldfastError } from './errors.ts'

export interface TopicLimits {
  readonly topicBytesMax: number
  readonly topicLevelsMax: number
}

/** Prefixes that only the server publishes to. */
export const RESERVED_PREFIXES = ['$SYS/', '$holdfast/'] as const
const OWN_PREFIX = RESERVED_PREFIXES[1]

/** A session that subscribes to it is told here what it lost [G5], as JSON `{"count":N,"reason":"..."}`. */
export const GAP_TOPIC = '$holdfast/gap'

const NUL = '\u0000'
/** What decoding makes of bytes that are not UTF-8 [MQTT-1.5.3-1]: different bytes must not become one name. */
const REPLACEMENT = '\uFFFD'

/** Where bridges of mosquitto say that they are connected, retained and as their will. */
const BRIDGE_NOTICES = '$SYS/broker/connection/'

/** Is it what bridges say on every connect, which belongs to the server and is no fault of theirs? */
export function isBridgeNotice (topic: string): boolean {
  return topic.startsWith(BRIDGE_NOTICES) && !breaksProtocol(topic)
}

/**
 * Is a topic to publish to against MQTT itself, so that the connection must be closed [MQTT-1.5.3-1, MQTT-1.5.3-2,
 * MQTT-3.3.2-2, MQTT-4.7.3-1]? Whatever else is wrong with one is a bound, or a rule, of this server.
 */
export function breaksProtocol (topic: string): boolean {
  return topic === '' || /[+#\0\uFFFD]/.test(topic)
}

/** Throws TOPIC_INVALID with what is wrong: a name to publish to [MQTT-3.3.2-2, MQTT-4.7.3-1]. */
export function checkTopic (topic: string, limits: TopicLimits, allowReserved = false): void {
  const wrong = topic.includes('+') || topic.includes('#')
    ? 'a topic to publish to holds no + and no #'
    : malformed(topic, limits) ??
      (isShared(topic) ? '$share/... is a subscription, not a topic' : undefined) ??
      (!allowReserved && isReserved(topic) ? `${RESERVED_PREFIXES.join(' and ')} belong to the server` : undefined)
  if (wrong !== undefined) throw new HoldfastError('TOPIC_INVALID', `${show(topic)}: ${wrong}`)
}

/**
 * First levels by which other brokers give a subscription other rules. Taken for a name they would be granted and bring
 * nothing, for ever.
 */
const SPECIAL_PREFIXES = ['$queue/', '$exclusive/', '$delayed/']

/** `$share/GROUP/FILTER`: each message that matches goes to one member of the group. */
const SHARE_PREFIX = '$share/'
/** A message that is on its way at QoS 2 belongs to its receiver: it could not go to another one. */
export const SHARED_QOS_MAX = 1
/** The name of a group and its filter stand in one key of the store. */
const SHARED_BYTES_MAX = 1_800

/** Is it a shared subscription, or the name of the session that stands for its group? */
export function isShared (name: string): boolean { return name.charCodeAt(0) === 36 && name.startsWith(SHARE_PREFIX) }

/** The filter behind the group of a shared subscription; of any other one the filter itself. */
export function filterBehind (filter: string): string {
  return isShared(filter) ? filter.slice(filter.indexOf('/', SHARE_PREFIX.length) + 1) : filter
}

/** The name of the session that keeps what comes on a filter for a person who has none yet. */
export function inboxName (filter: string): string { return `$inbox/${filter}` }

/** Throws FILTER_INVALID with what is wrong [MQTT-4.7.1-2, MQTT-4.7.1-3, MQTT-4.7.3-1]. */
export function checkFilter (filter: string, limits: TopicLimits, mayShare = false): void {
  const wrong = malformed(filter, limits) ?? (isShared(filter) ? wrongShare(filter, mayShare) : wrongFilter(filter))
  if (wrong !== undefined) throw new HoldfastError('FILTER_INVALID', `${show(filter)}: ${wrong}`)
}

function wrongShare (filter: string, mayShare: boolean): string | undefined {
  if (!mayShare) return 'a subscription is shared over MQTT only. Leave out the prefix'
  const end = filter.indexOf('/', SHARE_PREFIX.length)
  const group = filter.slice(SHARE_PREFIX.length, end)
  const behind = filter.slice(end + 1)
  if (end === -1 || group === '' || behind === '' || hasWildcard(group)) {
    return 'it is not $share/GROUP/FILTER with a group, without wildcards, and a filter'
  }
  if (Buffer.byteLength(filter) + Buffer.byteLength(behind) > SHARED_BYTES_MAX) {
    return `it is too long to be shared: with the filter once more it is over ${SHARED_BYTES_MAX} bytes`
  }
  if (isShared(behind) || behind.startsWith(OWN_PREFIX)) return 'what is behind the group can not be shared'
  return wrongFilter(behind)
}

function wrongFilter (filter: string): string | undefined {
  if (filter.charCodeAt(0) === 36) {
    const prefix = SPECIAL_PREFIXES.find((one) => filter.startsWith(one))
    if (prefix !== undefined) return `${prefix}... is not served here. Leave the prefix out, or use $share/GROUP/FILTER`
  }
  return misplacedWildcard(filter)
}

/** What is wrong with the wildcards of a filter; undefined if nothing is. */
export function misplacedWildcard (filter: string): string | undefined {
  if (!hasWildcard(filter)) return undefined
  const levels = filter.split('/')
  for (let i = 0; i < levels.length; i++) {
    const level = levels[i]
    if (level.includes('#') && (level !== '#' || i !== levels.length - 1)) {
      return '# stands alone in the last level only'
    }
    if (level.includes('+') && level !== '+') return '+ stands alone in its level'
  }
  return undefined
}

function malformed (topic: string, limits: TopicLimits): string | undefined {
  if (topic.length === 0) return 'it is empty'
  if (topic.length > limits.topicBytesMax || Buffer.byteLength(topic) > limits.topicBytesMax) {
    return `it is longer than topicBytesMax = ${limits.topicBytesMax}`
  }
  if (topic.includes(NUL)) return 'it holds U+0000'
  if (topic.includes(REPLACEMENT)) return 'it holds U+FFFD, as bytes that are not UTF-8 do when they are read'
  if (levelCount(topic) > limits.topicLevelsMax) {
    return `it has more levels than topicLevelsMax = ${limits.topicLevelsMax}`
  }
  return undefined
}

export function isReserved (topic: string): boolean {
  return topic.charCodeAt(0) === 36 && RESERVED_PREFIXES.some((prefix) => topic.startsWith(prefix))
}

export function hasWildcard (filter: string): boolean {
  return filter.includes('+') || filter.includes('#')
}

function levelCount (topic: string): number {
  let levels = 1
  for (let i = 0; i < topic.length; i++) if (topic.charCodeAt(i) === 47) levels++
  return levels
}

/** Does a topic name match a filter (MQTT 4.7)? For few comparisons; FilterTree is for many. */
export function matches (filter: string, topic: string): boolean {
  if (!hasWildcard(filter)) return filter === topic
  const first = filter.charCodeAt(0)
  if (topic.charCodeAt(0) === 36 && (first === 43 || first === 35)) return false // [MQTT-4.7.2-1]
  const wanted = filter.split('/')
  const levels = topic.split('/')
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === '#') return true
    if (i >= levels.length || (wanted[i] !== '+' && wanted[i] !== levels[i])) return false
  }
  return wanted.length === levels.length
}

/** Does the first filter match every topic that the second one matches? */
export function covers (filter: string, other: string): boolean {
  const wide = filter.split('/')
  const narrow = other.split('/')
  if (other.charCodeAt(0) === 36 && (wide[0] === '+' || wide[0] === '#')) return false // [MQTT-4.7.2-1]
  for (let i = 0; i < wide.length; i++) {
    if (wide[i] === '#') return true
    if (i >= narrow.length || narrow[i] === '#' || (wide[i] !== '+' && wide[i] !== narrow[i])) return false
  }
  return wide.length === narrow.length
}

/** Can there be a topic that both filters match? */
export function overlap (filter: string, other: string): boolean {
  const levels = filter.split('/')
  const others = other.split('/')
  for (let i = 0; ; i++) {
    if (levels[i] === '#' || others[i] === '#') return true
    if (i === levels.length || i === others.length) return levels.length === others.length
    if (levels[i] !== others[i] && levels[i] !== '+' && others[i] !== '+') return false
  }
}

/** A name from the wire, short and escaped, for a sentence that a person reads. */
export function show (name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}...` : name)
}
