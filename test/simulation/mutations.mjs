/**
 * One mistake each, as somebody could make it: what it is, the file, the text that stands there (once), and what takes
 * its place. When the broker changes and a text is not found any more, mutants.mjs says so; then renew the mutation.
 */
export const MUTATIONS = [
  {
    name: 'a receipt is given before the sync',
    file: 'broker/log/log.ts',
    from: 'this.#queue.push({ kind: PUBLISH, message, keep, changes, receipt })',
    to: 'receipt(); this.#queue.push({ kind: PUBLISH, message, keep, changes, receipt: () => {} })'
  },
  {
    name: 'a receipt is given though the write failed',
    file: 'broker/log/log.ts',
    from: 'item.receipt(item.keep || item.changes.length > 0 ? error : undefined)',
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
    file: 'broker/log/log-index.ts',
    from: 'if (subscription.qos === 0 || subscription.session.clean) continue\n        const passed',
    to: "if (subscription.qos === 0 || subscription.session.clean || !('live' in subscription.session && " +
      'subscription.session.live !== undefined)) continue\n        const passed'
  },
  {
    name: 'the trim ignores what is in flight',
    file: 'broker/session/session.ts',
    from: 'if (lowest !== undefined) return (lowest - 1) as Offset',
    to: 'if (lowest !== undefined) return this.sent'
  },
  {
    name: 'the trim forgets whom to look at again',
    file: 'broker/log/log-index.ts',
    from: 'if (holder !== undefined) (holder.holds ??= new Set()).add(topic)',
    to: ''
  },
  {
    name: 'the cursor is written ahead of what was acknowledged',
    file: 'broker/session/records.ts',
    from: 'if (flight.offset > 0) flights.push(flight)',
    to: 'if (flight.offset < 0) flights.push(flight)'
  },
  {
    name: 'the window gives out an identifier that is in use',
    file: 'broker/session/window.ts',
    from: 'while (this.#byId.has(this.#nextId)) this.#nextId = this.#nextId % PACKET_ID_MAX + 1',
    to: 'this.#nextId = this.#byId.size + 1'
  },
  {
    name: 'a subscription counts from too late',
    file: 'broker/subscribing.ts',
    from: 'if (subscription.from === PENDING || subscription.qos === 0) subscription.from = at',
    to: 'if (subscription.from === PENDING || subscription.qos === 0) subscription.from = (at + 1) as Offset'
  },
  {
    name: 'a subscription counts from too early',
    file: 'broker/subscribing.ts',
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
    file: 'broker/load-sessions.ts',
    from: 'session.detachedAt = detachedAt ?? options.aliveAt',
    to: 'session.detachedAt = options.now'
  },
  {
    name: 'a redelivery does not carry DUP',
    file: 'broker/session/follower.ts',
    from: '        flight.dup = true // [MQTT-3.3.1-1]\n',
    to: ''
  },
  {
    name: 'after a crash nothing carries DUP',
    file: 'broker/load-sessions.ts',
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
    file: 'broker/holdfast-broker.ts',
    from: 'if (live.offered === number) live.offeredQos',
    to: 'if (live.offered < 0) live.offeredQos'
  },
  {
    name: 'a message for a session that is away is not stored',
    file: 'broker/log/log-index.ts',
    from: 'if (routes[i].durable > 0) return true',
    to: 'if (routes[i].durable > 0 && routes[i].attached.length > 0) return true'
  },
  {
    name: 'a gap is one short',
    file: 'broker/holdfast-broker.ts',
    from: 'this.#follower.lose(session, cut.messages, cut.reason)',
    to: 'this.#follower.lose(session, Math.max(1, cut.messages - 1), cut.reason)'
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
    from: '        live.gathered = false\n        this.#options.fill(session, live)',
    to: '        if (!live.link.writable) break\n        live.gathered = false\n' +
      '        this.#options.fill(session, live)'
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
    from: 'get room (): number { return this.#sizeMax - this.#byId.size }',
    to: 'get room (): number { return 2 * this.#sizeMax - this.#byId.size }'
  },
  {
    name: 'acknowledgements of a connection that was taken over count',
    file: 'broker/session/follower.ts',
    from: 'acknowledge: (packetId) => { if (session.live === live) this.#acknowledge',
    to: 'acknowledge: (packetId) => { if (session.live !== undefined) this.#acknowledge'
  },
  {
    name: 'the end of a connection that was taken over detaches the new one',
    file: 'broker/session/follower.ts',
    from: 'detach: () => { if (session.live === live) this.detach(session) }',
    to: 'detach: () => { this.detach(session) }'
  },
  {
    name: 'the position is moved to the end though there was no room',
    file: 'broker/session/follower.ts',
    from: 'if (live.caughtUp && session.sent < this.#log.tail)',
    to: 'if (session.sent < this.#log.tail)'
  },
  {
    name: 'a session that has ended holds back the log',
    file: 'broker/sessions.ts',
    from: 'for (const subscription of session.subscriptions.values()) this.#options.index.unsubscribe(subscription)',
    to: ''
  },
  {
    name: 'a stop does not write the cursors',
    file: 'broker/holdfast-broker.ts',
    from: '    await this.#sessions.flushAll()\n',
    to: ''
  }
]
