/** What happens to sessions and to the store, as sentences in the log [G5]: what, to whom, what is done about it. */
import type { Broker, Logger, Recovery } from '../broker/index.ts'

export function narrate (events: Broker['events'], log: Logger): void {
  events.on('session-created', (session) => log.debug(session, 'session made'))
  events.on('attached', (session) => log.debug(session, 'client attached to its session'))
  events.on('contested', (session) => log.warn(session, 'clients with one identifier take this session over from ' +
    'each other again and again; the newcomer has to wait. Give each its own identifier, and let none come back ' +
    'at once that was thrown out'))
  events.on('detached', (session) => log.debug(session, 'client gone; its session goes on until it expires'))
  events.on('session-ended', (session) => {
    const { reason } = session
    if (reason === 'damaged') {
      log.error(session, 'the record of a session was damaged, and the session is lost with what waited for it; its ' +
        'client learns when it comes back that there is none')
    } else if (reason === 'disconnected') log.debug(session, 'clean session ended with its connection')
    else if (reason === 'left') log.debug(session, 'session ended, as its client has left')
    else if (reason === 'never-attached') log.debug(session, 'session ended, as its client was never let in')
    else log.info(session, 'session ended; nothing is kept for it any more')
  })
  events.on('gap', (gap) => {
    if (gap.reason === 'qos-lowered') {
      log.warn(gap, 'a client lowered a subscription to QoS 0; what waited for it at a higher one is let go, and it ' +
        'is told how many')
    } else if (gap.reason !== 'set-aside') {
      log.warn(gap, 'a session reached a bound and skipped messages; it is told how many')
    }
  })
  events.on('set-aside', (aside) => log.warn(aside, 'the client could not take this message, again and again; it is ' +
    'set aside and the session goes on without it ("holdfast sessions --client" shows it)'))
  events.on('auth-failed', ({ hook, error, times }) => log.error({ hook, err: error, times },
    'the program\'s own auth threw, or gave no answer within connectTimeoutMs; whoever was asked about is refused'))
  events.on('listener-failed', ({ event, error, times }) => log.error({ event, err: error, times },
    'a listener of the program failed; the server and the other listeners go on'))
  events.on('inboxes-full', (inbox) => log.warn(inbox, 'a message for a person without a session is not kept: as ' +
    'many people as may be (keepForUsersMax) have something waiting'))
  events.on('store-failed', ({ error }) =>
    log.error({ err: error }, 'the log can\'t be written; publishers get no receipts until it can, and send again'))
  events.on('clock-set', (clock) => log.warn(clock, 'the clock of this machine was set; that is not counted as time: ' +
    'nothing expires by it'))
  events.on('clock-doubted', ({ why, wall, lastWall }) => log.warn({ why, wall: iso(wall), lastWall: iso(lastWall) },
    'the clock of this machine is not right, or was not before; the time that the server was down is not counted'))
  events.on('store-broken', (broken) => log.error(broken, 'this process must end and be started again; nothing that ' +
    'has a receipt is lost'))
  events.on('heap-full', (heap) => log.error(heap, 'as much is held in memory as may be (heapPercentMax): what would ' +
    'be kept is refused, publishers get no receipts and send again; end or shorten sessions that stay away, or give ' +
    'Node.js more with --max-old-space-size'))
  events.on('heap-free', (heap) => log.info(heap, 'there is room in memory again; receipts are given again'))
  events.on('store-recovered', () => log.info({}, 'the log can be written again; receipts are given again'))
}

function iso (ms: number): string { return new Date(ms).toISOString() }

export function narrateRecovery ({ epoch, tail, clean, notes, damaged }: Recovery, data: string, log: Logger): void {
  for (const note of notes) log.warn({ data }, note)
  if (damaged.length > 0) {
    log.warn({ data, messages: damaged.length }, 'damaged messages are gone; the sessions concerned are told')
  }
  log.info({ data, epoch, tail, clean }, 'log opened')
}
