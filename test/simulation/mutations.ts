/** One mistake, as somebody could make it. */
export interface Mutation {
  /** What it is. */
  readonly name: string
  readonly file: string
  /** The text that stands there, once. When the broker changes and it does not any more, renew the mutation. */
  readonly from: string
  /** What takes its place. */
  readonly to: string
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'a receipt is given before the sync',
    file: 'broker/log/log.ts',
    from: 'this.#queue.push({ kind: PUBLISH, message, keepers, changes, receipt })',
    to: 'receipt(); this.#queue.push({ kind: PUBLISH, message, keepers, changes, receipt: () => {} })'
  },
  {
    name: 'a receipt is given though the write failed',
    file: 'broker/log/log.ts',
    from: 'item.receipt(item.keepers > 0 || item.changes.length > 0 ? error : undefined, item.keepers)',
    to: 'item.receipt(undefined)'
  },
  {
    name: 'a live message overtakes the backlog at the switch-over',
    file: 'broker/session/follower.ts',
    from: 'live.caughtUp && qos === 1 && this.#puller.hasRoom(session, live)',
    to: 'qos === 1 && this.#puller.hasRoom(session, live)'
  },
  {
    name: 'a session that is caught up forgets where it stands',
    file: 'broker/session/follower.ts',
    from: '      session.sent = offset\n      this.#outbox.send(session, live, message, qos, offset, false)',
    to: '      this.#outbox.send(session, live, message, qos, offset, false)'
  },
  {
    name: 'the trim drops entries that a detached session still needs',
    file: 'broker/log/trimmer.ts',
    from: 'if (qos === 0 || session.clean) continue',
    to: 'if (qos === 0 || session.clean || session.live === undefined) continue'
  },
  {
    name: 'the trim ignores what is in flight',
    file: 'broker/session/session.ts',
    from: 'if (lowest !== undefined) return (lowest - 1) as Offset',
    to: 'if (lowest !== undefined) return this.sent'
  },
  {
    name: 'the trim forgets whom to look at again',
    file: 'broker/log/trimmer.ts',
    from: 'if (holder === undefined) return\n    route.holder = holder',
    to: 'if (floor >= 0) return'
  },
  {
    name: 'the cursor is written ahead of what was acknowledged',
    file: 'broker/session/window.ts',
    from: 'if (flight.state !== FLIGHT_DONE && (flight.offset > 0 || flight.qos === 2)) flights.push(flight)',
    to: 'if (flight.offset < 0) flights.push(flight)'
  },
  {
    name: 'the window gives out an identifier that is in use',
    file: 'broker/session/window.ts',
    from: 'while (!this.#byId.isFree(this.#nextId)) this.#nextId = this.#nextId % PACKET_ID_MAX + 1',
    to: 'this.#nextId = this.#byId.size + 1'
  },
  {
    name: 'a subscription counts from too late',
    file: 'broker/messages/subscribing.ts',
    from: 'if (subscription.from === PENDING || subscription.qos === 0) subscription.from = at',
    to: 'if (subscription.from === PENDING || subscription.qos === 0) subscription.from = (at + 1) as Offset'
  },
  {
    name: 'a subscription counts from too early',
    file: 'broker/messages/subscribing.ts',
    from: 'if (subscription.from === PENDING || subscription.qos === 0) subscription.from = at',
    to: 'if (subscription.from === PENDING || subscription.qos === 0) subscription.from = Math.max(0, at - 1) as Offset'
  },
  {
    name: 'what is unsubscribed while it waits is sent all the same',
    file: 'broker/session/follower.ts',
    from: '    live.filterQueue(isWanted)\n',
    to: ''
  },
  {
    name: 'what is unsubscribed while it is read is sent all the same',
    file: 'broker/session/puller.ts',
    from: 'if (live.filtersVersion === version) this.#place',
    to: 'if (version >= 0) this.#place'
  },
  {
    name: 'expiry ignores the time while the server is down',
    file: 'broker/sessions/load.ts',
    from: 'session.detachedAt = detachedAt ?? aliveAt',
    to: 'session.detachedAt = this.#options.now'
  },
  {
    name: 'a clock that is set forward is time that has passed',
    file: 'broker/system/own-time.ts',
    from: 'return Math.floor(this.#origin + this.#source.sinceBoot()) as TimeMs',
    to: 'return this.#source.wallNow() as TimeMs'
  },
  {
    name: 'the time away is taken from the wall clock though the machine ran on',
    file: 'broker/system/own-time.ts',
    from: 'if (isSameRun) downMs = sinceBoot - mark.sinceBoot',
    to: 'if (isSameRun) downMs = Math.max(0, wall - mark.wall)'
  },
  {
    name: 'a machine that was started anew has its time from the wall clock, whatever that says',
    file: 'broker/system/own-time.ts',
    from: 'this.#origin = mark.own + downMs - sinceBoot',
    to: 'this.#origin = (doubt === undefined ? mark.own + downMs : wall) - sinceBoot'
  },
  {
    name: 'a redelivery does not carry DUP',
    file: 'broker/session/follower.ts',
    from: '        flight.dup = true // [MQTT-3.3.1-1]\n',
    to: ''
  },
  {
    name: 'after a crash nothing carries DUP',
    file: 'broker/sessions/load.ts',
    from: 'if (detachedAt === undefined && !recovery.clean) session.uncertainThrough = recovery.tail',
    to: ''
  },
  {
    name: 'QoS 2 is sent before its identifier is durable',
    file: 'broker/session/puller.ts',
    from: 'const isHeld = qos === 2 || held.length > 0',
    to: 'const isHeld = false'
  },
  {
    name: 'PUBREL is sent before the PUBREC is durable',
    file: 'broker/session/follower.ts',
    from: 'flight.state = FLIGHT_RELEASING //',
    to: 'flight.state = FLIGHT_RELEASED //'
  },
  {
    name: 'overlapping filters deliver a message for each',
    file: 'broker/messages/delivering.ts',
    from: 'if (live.offered === number) live.offeredQos',
    to: 'if (live.offered < 0) live.offeredQos'
  },
  {
    name: 'a message for a session that is away is not stored',
    file: 'broker/log/log-index.ts',
    from: 'keepers += routes[i].durable',
    to: 'keepers += routes[i].attached.length > 0 ? routes[i].durable : 0'
  },
  {
    name: 'a gap is one short',
    file: 'broker/sessions/sweeper.ts',
    from: 'follower.lose(session, cut.messages, cut.reason)',
    to: 'follower.lose(session, Math.max(1, cut.messages - 1), cut.reason)'
  },
  {
    name: 'a gap is not told after a restart',
    file: 'broker/session/records.ts',
    from: 'const gaps = [...session.gaps ?? []]',
    to: 'const gaps = [...session.gaps ?? []].slice(0, 0)'
  },
  {
    name: 'a frozen link holds up those behind it',
    file: 'broker/session/outbox.ts',
    from: 'this.flushOne(this.#gathered[this.#head++])',
    to: 'if (this.#gathered[this.#head].live?.link.writable === false) break\n' +
      '      this.flushOne(this.#gathered[this.#head++])'
  },
  {
    name: 'a link is written to though it takes no bytes',
    file: 'broker/session/outbox.ts',
    from: 'while (live.outbox.length > 0 && live.link.writable) {',
    to: 'while (live.outbox.length > 0) {'
  },
  {
    name: 'the window is not bounded',
    file: 'broker/session/window.ts',
    from: 'if (this.#waived === 0) return this.#sizeMax - this.#byId.size',
    to: 'if (this.#waived === 0) return 2 * this.#sizeMax - this.#byId.size'
  },
  {
    name: 'acknowledgements of a connection that was taken over count',
    file: 'broker/session/follower.ts',
    from: 'if (session.live === live) this.#acknowledge(session, live, packetId)',
    to: 'if (session.live !== undefined) this.#acknowledge(session, session.live, packetId)'
  },
  {
    name: 'the end of a connection that was taken over detaches the new one',
    file: 'broker/session/attached.ts',
    from: 'if (this.isFollowing) this.#follower.detach(this.#session)',
    to: 'this.#follower.detach(this.#session)'
  },
  {
    name: 'the position is moved to the end though there was no room',
    file: 'broker/session/follower.ts',
    from: 'if (live.caughtUp && session.sent < this.#log.tail)',
    to: 'if (session.sent < this.#log.tail)'
  },
  {
    name: 'a session that has ended holds back the log',
    file: 'broker/sessions/sessions.ts',
    from: 'for (const subscription of session.subscriptions.values()) this.#options.index.unsubscribe(subscription)',
    to: ''
  },
  {
    name: 'a stop does not write the cursors',
    file: 'broker/holdfast-broker.ts',
    from: '    await this.#sessions.flushAll()\n',
    to: ''
  },
  // --- what is owed to a disk that was full, and sessions that end while a clean connect replaces them
  {
    name: 'a session that ends while a clean connect replaces it is removed once more, behind that',
    file: 'broker/sessions/sessions.ts',
    from: 'const changes = session.clean || session.leaving ? []',
    to: 'const changes = session.clean ? []'
  },
  {
    name: 'a clean connect does not wait for the removal that is owed',
    file: 'broker/sessions/removals.ts',
    from: 'const changes = [...earlier?.changes ?? NOTHING, ...removal]',
    to: 'const changes = [...removal]'
  },
  {
    name: 'a filter whose removal failed stays on the disk',
    file: 'broker/sessions/removals.ts',
    from: 'if (!session.ended) this.#filters.set(key, removal)',
    to: 'if (!session.ended) this.#filters.delete(key)'
  },
  // --- retained messages and wills
  {
    name: 'a restart forgets who is owed retained messages',
    file: 'broker/session/records.ts',
    from: 'value[1] = qos | (retainedDue ? RETAINED_DUE : 0)',
    to: 'value[1] = qos'
  },
  {
    name: 'what was retained after a SUBSCRIBE is sent for it',
    file: 'broker/messages/retained.ts',
    from: 'if (at === undefined || at > notAfter) return undefined',
    to: 'if (at !== undefined) notAfter = Infinity as Offset'
  },
  {
    name: 'the identifier of a retained message at QoS 2 is forgotten in a crash',
    file: 'broker/session/window.ts',
    from: '(flight.offset > 0 || flight.qos === 2)) flights.push(flight)',
    to: 'flight.offset > 0) flights.push(flight)'
  },
  {
    name: 'a note that is older than the record counts',
    file: 'broker/sessions/load.ts',
    from: ' || cursor.moves <= session.moves) continue',
    to: ') continue'
  },
  {
    name: 'a will is published, and stays',
    file: 'broker/messages/wills.ts',
    from: "this.#stored.get(publisher) === message ? [{ table: 'wills', key: publisher, value: null }] : []",
    to: '[]'
  },
  {
    name: 'a will whose client has taken leave stays',
    file: 'broker/messages/wills.ts',
    from: "await this.#options.log.recorded([{ table: 'wills', key: clientId, value: null }])",
    to: ''
  },
  {
    name: 'a will that the disk refuses is forgotten',
    file: 'broker/messages/wills.ts',
    from: '        this.#unwritten.add(message)\n',
    to: ''
  },
  // --- proofs of receipt
  {
    name: 'a single ping counts as double',
    file: 'bridge/socketio/proof/evidence.ts',
    from: 'const confirmed = this.confirmed(probe)',
    to: 'const confirmed = this.confirmed({ covers: probe.covers, confirms: probe.covers })'
  },
  {
    name: 'a pong answers the last ping, not the first',
    file: 'bridge/socketio/proof/double-ping.ts',
    from: 'this.#pings.shift()',
    to: 'this.#pings.pop()'
  },
  {
    name: 'a pong covers what was written behind its ping',
    file: 'bridge/socketio/proof/evidence.ts',
    from: 'const covers = this.unprobed ? this.#written++ : this.#written - 1',
    to: 'const covers = this.#written'
  },
  {
    name: 'an answer confirms what arrived after its probe was written',
    file: 'bridge/socketio/proof/evidence.ts',
    from: 'group.number > probe.confirms)',
    to: 'group.number > this.#arrived)'
  },
  {
    name: 'the next poll proves what still waits for its response',
    file: 'bridge/socketio/proof/next-poll.ts',
    from: 'if (this.#isResponding && !isOut) this.#response ??= this.#evidence.probe()',
    to: ''
  },
  {
    name: 'a ping of version 2 proves what had arrived, whichever answer it follows',
    file: 'bridge/socketio/proof/heartbeat-echo.ts',
    from: 'if (!this.#isLast) return this.#evidence.confirmed(answer)',
    to: 'if (!this.#isLast) return this.#evidence.confirmed(this.#evidence.confirming())'
  },
  {
    name: 'a ping of the WebSocket proves that handlers ran',
    file: 'bridge/socketio/proof/transport-ping.ts',
    from: 'return this.#evidence.arrived(probe)',
    to: 'return [...this.#evidence.arrived(probe), ...this.#evidence.confirmed({ ...probe, confirms: probe.covers })]'
  },
  {
    name: 'what comes before CONNECT is proven by what is asked before it',
    file: 'bridge/socketio/connection.ts',
    from: 'if (channel.connectSent) this.#written(mark)',
    to: 'if (mark !== undefined) this.#written(mark)'
  },
  {
    name: 'pongs behind a leave count',
    file: 'bridge/socketio/connection.ts',
    from: '=== namespace)?.left()',
    to: '=== namespace)'
  },
  {
    name: 'after an upgrade pings are taken for those of long polling',
    file: 'bridge/socketio/proof/prover.ts',
    from: '    const poll = this.#poll\n    this.#poll = undefined\n',
    to: '    const poll = this.#poll\n'
  },
  // --- going on exactly where a client was
  {
    name: 'an offset of another log counts',
    file: 'bridge/socketio/proof/recovery-offset.ts',
    from: 'return log === logOf(epoch) && Number',
    to: 'return log !== undefined && Number'
  },
  {
    name: 'an offset beyond the end of the log counts',
    file: 'broker/session/follower.ts',
    from: 'receivedThrough !== undefined && receivedThrough <= this.#log.tail',
    to: 'receivedThrough !== undefined'
  },
  {
    name: 'what lies before an offset that counts is sent again if nothing says that it was out',
    file: 'broker/session/follower.ts',
    from: 'if (session.sent < through) session.sent = through',
    to: ''
  },
  {
    name: 'an offset acknowledges one message too many',
    file: 'broker/session/follower.ts',
    from: 'offset > ORIGIN && offset <= through && qos === 1)',
    to: 'offset > ORIGIN && offset <= through + 1 && qos === 1)'
  },
  {
    name: 'the tag of a session is not written down',
    file: 'broker/session/records.ts',
    from: 'tag: session.tag, owner: session.owner }',
    to: 'tag: undefined, owner: session.owner }'
  },
  {
    name: 'a connect that fails leaves its tag behind',
    file: 'broker/sessions/sessions.ts',
    from: 'existing.tag = previousTag',
    to: ''
  },
  {
    name: 'what a trial holds back is held against its client',
    file: 'broker/sessions/sweeper.ts',
    from: 'now - (link.waitingSince ?? oldest.sentAt)',
    to: 'now - oldest.sentAt'
  },
  {
    name: 'a session is given to whoever asks for it',
    file: 'broker/sessions/sessions.ts',
    from: '!isOwnedBy(existing, principal, owner)) {',
    to: '!isOwnedBy(existing, principal, owner) && clean) {'
  },
  {
    name: 'a session is ended by whoever connects clean under its name',
    file: 'broker/sessions/sessions.ts',
    from: '!isOwnedBy(existing, principal, owner)) {',
    to: '!isOwnedBy(existing, principal, owner) && !clean) {'
  }
]
