/** All that is asked of a session, whatever the store. */
import { deliverySuite } from './session.ts'
import { setAsideSuite } from './session-set-aside.ts'
import { unansweredSuite } from './session-unanswered.ts'
import { boundsSuite } from './session-bounds.ts'
import { expirySuite } from './session-expiry.ts'
import { inboxesSuite } from './session-inboxes.ts'
import { lifeSuite } from './session-life.ts'
import { recoverySuite } from './session-recovery.ts'
import { repeatsSuite } from './session-repeats.ts'
import { retainedSuite } from './session-retained.ts'
import { sharedSuite } from './session-shared.ts'
import { turnsSuite } from './session-turns.ts'
import { windowSuite } from './session-window.ts'
import type { WorldFactory } from './session-words.ts'

export function sessionSuites (name: string, factory: WorldFactory): void {
  deliverySuite(name, factory)
  lifeSuite(name, factory)
  boundsSuite(name, factory)
  recoverySuite(name, factory)
  retainedSuite(name, factory)
  windowSuite(name, factory)
  repeatsSuite(name, factory)
  setAsideSuite(name, factory)
  unansweredSuite(name, factory)
  turnsSuite(name, factory)
  sharedSuite(name, factory)
  inboxesSuite(name, factory)
  expirySuite(name, factory)
}
