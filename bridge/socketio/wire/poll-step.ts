/** What becomes of polls where a poll without `t` proves nothing: lock-step.ts (Engine.IO 4), pong-step.ts (3). */

/** A poll that came. */
export interface Poll {
  readonly isUntimed: boolean
  /** Hands it on. */
  pass (): void
  /** Answers it with a packet of its own: a ping, or what means nothing. */
  answer (packet: '2' | '6'): void
}

export interface PollStep {
  /** The poll that waits for an answer, or came last, is one without `t`. */
  readonly isOn: boolean
  /** A poll waits, and the engine has not seen it. */
  readonly isHolding: boolean
  /** A poll came that is no known repetition. `isUpgrading`: the client waits for its answer to go on. */
  polled (poll: Poll, isUpgrading: boolean): void
  /** A WebSocket is about to take over. */
  upgrading (): void
  closed (): void
}
