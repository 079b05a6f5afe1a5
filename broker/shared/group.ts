/**
 * Which member of a group gets what, and what becomes of it when that member goes. Pure: no socket, disk or clock, and
 * no chance. Members take turns; one without room is passed over, so that it holds up nobody [G8]. What a member had
 * and did not acknowledge when it went comes before what waits, and goes to another one, marked as sent before [G4].
 */

/** What is to be handed to a member. */
export interface Turn<M, D> {
  readonly member: M
  readonly delivery: D
  /** Another member had it, perhaps. */
  readonly isRepeated: boolean
}

/** @typeParam M a member that is attached; @typeParam D a delivery of the group. Both are told apart by identity. */
export class Group<M, D> {
  /** In the order of their turns: the first is next. */
  #members: M[] = []
  /** In the order in which they are to go out. */
  #waiting: D[] = []
  #head = 0
  readonly #repeated = new Set<D>()
  /** What is out, in the order in which it went to that member. */
  readonly #out = new Map<M, Set<D>>()
  readonly #holders = new Map<D, M>()

  get size (): number { return this.#members.length }
  /** Deliveries that no member has. */
  get waiting (): number { return this.#waiting.length - this.#head }
  /** What is to go out next. */
  get first (): D | undefined { return this.#waiting[this.#head] }
  /** Deliveries that a member has and has not acknowledged. */
  get out (): number { return this.#holders.size }

  /** Deliveries that this member has and has not acknowledged. */
  outAt (member: M): number { return this.#out.get(member)?.size ?? 0 }
  /** Could a delivery go to anybody? */
  hasRoom (hasRoom: (member: M) => boolean): boolean { return this.#members.some(hasRoom) }

  /** A member is attached; its turn comes after that of all others. */
  join (member: M): void {
    if (this.#members.includes(member)) return
    this.#members.push(member)
    if (!this.#out.has(member)) this.#out.set(member, new Set())
  }

  /** It gets nothing more, and may still acknowledge what it has. */
  retire (member: M): void {
    const at = this.#members.indexOf(member)
    if (at !== -1) this.#members.splice(at, 1)
    if (this.outAt(member) === 0) this.#out.delete(member)
  }

  /** A member is gone: what it had is the next to go out [G2]. Returns how many that are. */
  leave (member: M): number {
    const had = this.#out.get(member)
    if (had === undefined) return 0
    this.retire(member)
    this.#out.delete(member)
    for (const delivery of had) {
      this.#holders.delete(delivery)
      this.#repeated.add(delivery)
    }
    if (had.size > 0) this.#putFirst([...had])
    return had.size
  }

  /** What a member had and was not written to it goes out again, as if nobody had had it. */
  takeBack (deliveries: readonly D[]): void {
    const taken = deliveries.filter((delivery) => this.#forget(delivery))
    if (taken.length > 0) this.#putFirst(taken)
  }

  /** It waits for its turn, behind what waits already. */
  add (delivery: D, isRepeated = false): void {
    if (isRepeated) this.#repeated.add(delivery)
    this.#waiting.push(delivery)
  }

  /** Whose turn it is; undefined where nobody has room. */
  turn (hasRoom: (member: M) => boolean): M | undefined {
    const at = this.#members.findIndex(hasRoom)
    if (at === -1) return undefined
    const [member] = this.#members.splice(at, 1)
    this.#members.push(member)
    return member
  }

  /** The next delivery, and who gets it: it is out from now on. Undefined where nothing waits or nobody has room. */
  next (hasRoom: (member: M) => boolean): Turn<M, D> | undefined {
    const member = this.waiting === 0 ? undefined : this.turn(hasRoom)
    if (member === undefined) return undefined
    const delivery = this.#shift()
    this.#out.get(member)!.add(delivery)
    this.#holders.set(delivery, member)
    return { member, delivery, isRepeated: this.#repeated.has(delivery) }
  }

  /** Nobody gets what is to go out next. */
  pass (): void { this.#repeated.delete(this.#shift()) }

  #shift (): D {
    const delivery = this.#waiting[this.#head++]
    if (this.#head === this.#waiting.length || this.#head >= COMPACT_MIN) {
      this.#waiting = this.#waiting.slice(this.#head)
      this.#head = 0
    }
    return delivery
  }

  /** Acknowledged: nobody gets it again. False where it is not out, as it went back before. */
  settle (delivery: D): boolean {
    if (!this.#forget(delivery)) return false
    this.#repeated.delete(delivery)
    return true
  }

  #forget (delivery: D): boolean {
    const member = this.#holders.get(delivery)
    if (member === undefined) return false
    this.#holders.delete(delivery)
    const out = this.#out.get(member)!
    out.delete(delivery)
    if (out.size === 0 && !this.#members.includes(member)) this.#out.delete(member)
    return true
  }

  #putFirst (deliveries: D[]): void {
    this.#waiting = [...deliveries, ...this.#waiting.slice(this.#head)]
    this.#head = 0
  }
}

const COMPACT_MIN = 1_024
