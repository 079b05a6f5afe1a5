/**
 * How a group follows the log: its session has a link, as any, and behind that are the members. What the session hands
 * over goes to one of them, as a message that has no place in that one's cursor; what the member acknowledges is
 * acknowledged to the group. So what is out, comes again and waits is the session's affair.
 */
import { Group } from './group.ts'
import { ORIGIN, type QoS, type TimeMs } from '../model/message.ts'
import type { Follower } from '../session/follower.ts'
import type { Attachment, CloseReason, Delivery, GapReason, Link } from '../session/link.ts'
import type { Membership } from '../session/membership.ts'
import type { Session } from '../session/session.ts'
import { NOT_SENT, type Flight } from '../session/window.ts'

/** As many as there are packet identifiers: what members hold is bounded by their own windows [G6]. */
const INFLIGHT_MAX = 65_535

type Following = Pick<Follower, 'give' | 'hasRoom' | 'mayRead' | 'wakeIfBehind' | 'withdraw'>

/** Messages and acknowledgements of groups: their members count them again. */
export interface Passed { delivered: number, acknowledged: number }

/** What a member that goes has of a group: what was never sent, and the oldest that was. */
interface Left { readonly unsent: Flight[], oldest: Flight | undefined }

export interface SharedLinkOptions {
  readonly session: Session
  readonly follower: Following
  readonly passed: Passed
  /** Nobody is there, and nothing is expected of anybody. */
  idle (): void
  closed (reason: CloseReason): void
  /** The connection of a member ended, and this is the oldest that it had not acknowledged. */
  failed (delivery: Flight, member: Session): void
}

export class SharedLink implements Link {
  readonly inflightMax = INFLIGHT_MAX
  readonly carrier = 'shared'
  /** It never stalls; a member that does is cut, and what that one had goes to another [G8]. */
  readonly waitingSince = Infinity as TimeMs
  attachment: Attachment | undefined
  readonly #options: SharedLinkOptions
  readonly #members = new Map<Session, QoS>()
  readonly #group = new Group<Session, Flight>()
  #untold: Array<[number, GapReason]> = []
  /** Of what is to be handed to somebody now. */
  #topic = ''
  #isClosed = false

  constructor (options: SharedLinkOptions) {
    this.#options = options
  }

  get writable (): boolean { return !this.#isClosed && this.#group.waiting === 0 && this.#group.hasRoom(this.#hasRoom) }

  deliver (deliveries: readonly Delivery[]): void {
    this.#options.passed.delivered += deliveries.length
    for (const one of deliveries) {
      if (one.qos === 0) {
        this.#topic = one.message.topic
        const member = this.#group.turn(this.#takes)
        if (member !== undefined) this.#options.follower.give(member, one.message, 0, false)
      } else this.#group.add(one as Flight, one.dup)
    }
    this.#handOut()
  }

  release (): void {} // nothing of it is at QoS 2

  gap (count: number, reason: GapReason): void {
    const member = [...this.#members.keys()].find(({ live }) => live !== undefined)
    if (member === undefined) this.#untold.push([count, reason])
    else member.live!.link.gap(count, reason)
  }

  close (reason: CloseReason): void {
    if (this.#isClosed) return
    this.stop()
    this.#options.closed(reason)
  }

  /** Nothing comes of it any more. */
  stop (): void { this.#isClosed = true }

  // --- members

  join (member: Session, qos: QoS): void {
    this.#members.set(member, qos)
    this.#group.join(member)
    for (const [count, reason] of this.#untold.splice(0)) this.gap(count, reason)
    this.resume()
  }

  /** It is subscribed no more, and may acknowledge what it has. */
  retire (member: Session): void {
    this.#group.retire(member)
    this.#members.delete(member)
    this.#rest()
  }

  /** Its connection is gone: what it had goes to others at once [G2]. */
  leave (member: Session, { unsent, oldest }: Left): void {
    if (oldest !== undefined && !this.#isClosed) this.#options.failed(oldest, member)
    this.#group.takeBack(unsent)
    this.#group.leave(member)
    this.#members.delete(member)
    this.resume()
    this.#rest()
  }

  settled (delivery: Flight): void {
    if (this.#group.settle(delivery)) this.#done(delivery)
  }

  #done (delivery: Flight): void {
    if (this.#isClosed) return
    this.#options.passed.acknowledged++
    this.attachment?.acknowledge(delivery.packetId)
    this.#rest()
  }

  /** A member may have room: what waits goes out, and more is taken from the log. */
  resume (): void {
    this.#handOut()
    if (!this.#isClosed) this.#options.follower.wakeIfBehind(this.#options.session)
  }

  #rest (): void { if (!this.#isClosed && this.#group.size === 0 && this.#group.out === 0) this.#options.idle() }

  /** A member has no more than its share, so that those who acknowledge nothing leave room for others [G8]. */
  readonly #hasRoom = (member: Session): boolean =>
    this.#options.follower.hasRoom(member, this.#members.get(member) ?? 0) &&
    this.#group.outAt(member) < Math.max(1, Math.floor(INFLIGHT_MAX / this.#group.size))

  /** Who may not read a message takes it from nobody who may. */
  readonly #takes = (member: Session): boolean =>
    this.#hasRoom(member) && this.#options.follower.mayRead(member, this.#topic)

  /** Where nobody of those who are here may, it counts as passed, and holds up nothing behind it. */
  #mayAny (): boolean {
    for (const member of this.#members.keys()) if (this.#options.follower.mayRead(member, this.#topic)) return true
    return this.#members.size === 0
  }

  #passed (delivery: Flight): void { // unless it was set aside meanwhile, and its identifier is another's
    if (this.#options.session.window?.get(delivery.packetId) === delivery) this.#done(delivery)
  }

  #handOut (): void {
    for (;;) {
      const { first } = this.#group
      if (first === undefined || this.#isClosed) return
      this.#topic = first.message.topic
      const turn = this.#group.next(this.#takes)
      if (turn === undefined) {
        if (this.#mayAny()) return
        this.#group.pass()
        queueMicrotask(() => { this.#passed(first) }) // a link does not call back at once
        continue
      }
      const { member, delivery, isRepeated } = turn
      if (this.#options.session.window?.get(delivery.packetId) !== delivery) { // it was set aside meanwhile
        this.#group.settle(delivery)
        continue
      }
      const flight = this.#options.follower.give(member, delivery.message, this.#members.get(member)!, isRepeated)
      if (flight !== undefined) (member.membership as Member).took(flight, this, delivery)
      else queueMicrotask(() => { this.settled(delivery) }) // a link does not call back at once
    }
  }
}

/** What a member tells its group. */
export interface GroupOfMember {
  readonly name: string
  /** Undefined while no member has a connection. */
  readonly link: SharedLink | undefined
  join (member: Session, qos: QoS): void
  attached (member: Session): void
  left (member: Session): void
}

/** The groups of a session, and what it has of them. */
export class Member implements Membership {
  readonly #session: Session
  readonly #follower: Following
  readonly #groups = new Map<string, GroupOfMember>()
  readonly #out = new Map<Flight, { readonly link: SharedLink, readonly delivery: Flight }>()

  constructor (session: Session, follower: Following) {
    this.#session = session
    this.#follower = follower
  }

  join (group: GroupOfMember, qos: QoS): void {
    this.#groups.set(group.name, group)
    group.join(this.#session, qos)
  }

  took (flight: Flight, link: SharedLink, delivery: Flight): void { this.#out.set(flight, { link, delivery }) }

  attached (): void { for (const group of this.#groups.values()) group.attached(this.#session) }

  detached (): void {
    const all = new Map<SharedLink, Left>()
    const leftOf = (link: SharedLink): Left => {
      const left = all.get(link) ?? { unsent: [], oldest: undefined }
      all.set(link, left)
      return left
    }
    for (const { link } of this.#groups.values()) if (link !== undefined) leftOf(link)
    for (const [flight, { link, delivery }] of this.#out) {
      this.#follower.withdraw(this.#session, flight)
      const left = leftOf(link)
      if (flight.sentAt === NOT_SENT) left.unsent.push(delivery)
      else left.oldest ??= delivery
    }
    this.#out.clear()
    for (const [link, left] of all) link.leave(this.#session, left)
  }

  acknowledged (flight: Flight): void {
    if (flight.offset === ORIGIN) {
      const out = this.#out.get(flight)
      this.#out.delete(flight)
      out?.link.settled(out.delivery)
    }
    this.resume()
  }

  resume (): void { for (const group of this.#groups.values()) group.link?.resume() }

  has (delivery: Delivery): boolean { return this.#out.has(delivery as Flight) }

  left (filter: string): void {
    const group = this.#groups.get(filter)
    this.#groups.delete(filter)
    group?.left(this.#session)
  }

  ended (): void { for (const filter of [...this.#groups.keys()]) this.left(filter) }
}
