/** Every error that the broker reports on purpose: a stable code, whether trying again can help, and one sentence. */
export const ERRORS = {
  STORE_UNAVAILABLE: { retriable: true, says: 'the log could not be written (disk full or failing)' },
  LOG_FULL: { retriable: true, says: 'the log has reached its size limit' },
  MEMORY_FULL: { retriable: true, says: 'the memory of the process has reached its limit' },
  DATA_MISSING: { retriable: false, says: 'there is no data folder' },
  DATA_LOCKED: { retriable: false, says: 'the data folder is in use by another server' },
  DATA_NOT_WRITABLE: { retriable: false, says: 'the data folder cannot be written' },
  DATA_NEWER: { retriable: false, says: 'the data folder was written by a newer version' },
  DATA_OLDER: { retriable: false, says: 'the data folder was written by an older version' },
  DATA_DAMAGED: { retriable: false, says: 'the data folder is damaged beyond what can be recovered' },
  CLIENT_ID_INVALID: { retriable: false, says: 'the client identifier is empty, too long or malformed' },
  SESSION_FOREIGN: { retriable: false, says: 'the session belongs to another principal' },
  NAME_IN_USE: { retriable: true, says: 'the program reads under this name already' },
  SESSIONS_FULL: { retriable: true, says: 'the number of sessions has reached its limit' },
  FILTER_INVALID: { retriable: false, says: 'the topic filter is malformed, too long or too deep' },
  FILTERS_FULL: { retriable: false, says: 'the session has reached its number of filters' },
  TOPIC_INVALID: { retriable: false, says: 'the topic is malformed, too long, too deep or reserved' },
  AUTH_UNAVAILABLE: { retriable: true, says: 'the authentication of the application gave no answer' },
  NOT_AUTHORIZED: { retriable: false, says: 'not allowed' },
  MESSAGE_TOO_LARGE: { retriable: false, says: 'the message is larger than the limit' },
  RETAINED_FULL: { retriable: true, says: 'the number of retained messages has reached its limit' },
  INCOMING_FULL: { retriable: true, says: 'too many QoS 2 messages wait for their PUBREL' },
  CLOSED: { retriable: true, says: 'not open any more' }
} as const

export type ErrorCode = keyof typeof ERRORS

export class HoldfastError extends Error {
  readonly code: ErrorCode
  readonly retriable: boolean

  /** @param detail what exactly, and what to do: names the option, the topic or the folder */
  constructor (code: ErrorCode, detail = '', options?: ErrorOptions) {
    super(detail === '' ? ERRORS[code].says : `${ERRORS[code].says}: ${detail}`, options)
    this.name = 'HoldfastError'
    this.code = code
    this.retriable = ERRORS[code].retriable
  }
}
