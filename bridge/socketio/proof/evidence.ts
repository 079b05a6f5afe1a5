/**
 * What is known of the messages that were written to one connection: sent, arrived, handled.
 *
 * A probe is something that a client answers in order: an engine ping (double-ping.ts), the response to a poll
 * (next-poll.ts), the answer to a heartbeat of the client (heartbeat-echo.ts), a ping of the WebSocket itself
 * (transport-ping.ts). An answer can prove two things. `arrived`: the client's engine has everything that was written
 * before the probe. `confirmed`: what had arrived before the probe was sent is handled: the client got round to the
 * probe in a later turn of its event loop, when the handlers of what it had before were called, and returned. Which of
 * the two an answer proves is for the kind of probe to say; nothing else follows from it. Handlers that go on
 * asynchronously, or that were never registered, are beyond every proof.
 *
 * A pure state machine, one for a connection, over all its namespaces and across an upgrade of its transport: it is
 * told what was written and what came back. Answers may come in any order; each proves what it proves. What was written
 * between two probes is a group; two positions, in groups, say how far all has arrived and how far all is handled. How
 * many marks it holds is bounded by the windows of the sessions; groups end with probes, whose number each kind bounds.
 */

/** What a mark waits for: that its handlers ran, or only that the client's engine (or what it stands behind) has it. */
export type ProofLevel = 'handled' | 'received'

/** A position at the time a probe was written. */
export interface Probe {
  /** The groups up to this one were written before it. */
  readonly covers: number
  /** The groups up to this one had arrived by then. */
  readonly confirms: number
}

interface Group<Mark> {
  readonly number: number
  readonly handled: Mark[]
  /** Most messages ask for more, so there is no list for them. */
  received: Mark[] | undefined
}

export class Evidence<Mark> {
  /** With marks that are not proven; the last one is open for more while its number is `#written`. */
  #groups: Array<Group<Mark>> = []
  /** The group that is being written. */
  #written = 1
  #arrived = 0

  /**
   * A message was written, all of it, after everything that was marked before; its mark comes back when it is proven.
   */
  delivered (mark: Mark, level: ProofLevel = 'handled'): void {
    let group = this.#groups.at(-1)
    if (group?.number !== this.#written) {
      group = { number: this.#written, handled: [], received: undefined }
      this.#groups.push(group)
    }
    if (level === 'handled') group.handled.push(mark)
    else (group.received ??= []).push(mark)
  }

  /** A probe is being written now, behind everything that was delivered. */
  probe (): Probe {
    const covers = this.unprobed ? this.#written++ : this.#written - 1
    return { covers, confirms: this.#arrived }
  }

  /** A probe that can only confirm what has arrived before. */
  confirming (): Probe {
    return { covers: 0, confirms: this.#arrived }
  }

  /** Everything before the probe is in the client's engine. Returns what is proven by that, in the order of writing. */
  arrived (probe: Probe): readonly Mark[] {
    if (probe.covers <= this.#arrived) return NOTHING
    const proven: Mark[] = []
    for (const group of this.#groups) {
      if (group.number > probe.covers) break
      if (group.received === undefined) continue
      append(proven, group.received)
      group.received = undefined
    }
    this.#arrived = probe.covers
    if (proven.length > 0) this.#groups = this.#groups.filter(group => group.handled.length > 0 || group.received)
    return proven
  }

  /** What had arrived when the probe was written is handled. Returns what that proves, in the order of writing. */
  confirmed (probe: Probe): readonly Mark[] {
    const done = this.#groups.findIndex(group => group.number > probe.confirms)
    const groups = this.#groups.splice(0, done === -1 ? this.#groups.length : done)
    if (groups.length <= 1) return groups[0]?.handled ?? NOTHING
    const proven: Mark[] = []
    for (const { handled } of groups) append(proven, handled)
    return proven
  }

  /** The client's engine has answered the probe in its turn: both. */
  answered (probe: Probe): readonly Mark[] {
    const confirmed = this.confirmed(probe)
    const arrived = this.arrived(probe)
    return arrived.length === 0 ? confirmed : [...confirmed, ...arrived]
  }

  /** Something was written that no probe covers yet. */
  get unprobed (): boolean {
    return this.#groups.at(-1)?.number === this.#written
  }

  /** Marks that have not arrived. */
  get unarrived (): number {
    let sum = 0
    for (const { number, handled, received } of this.#groups) {
      if (number > this.#arrived) sum += handled.length + (received?.length ?? 0)
    }
    return sum
  }

  /** Something has arrived and is not proven to be handled: the answer to a probe written now would prove it. */
  get unconfirmed (): boolean {
    return this.#groups.some(({ number, handled }) => number <= this.#arrived && handled.length > 0)
  }

  /** Marks that are not proven yet. */
  get unproven (): number {
    return this.#groups.reduce((sum, { handled, received }) => sum + handled.length + (received?.length ?? 0), 0)
  }
}

const NOTHING: readonly never[] = []

function append<Mark> (to: Mark[], marks: readonly Mark[]): void {
  for (const mark of marks) to.push(mark)
}
