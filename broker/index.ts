/** The door of the broker; nothing else is imported from outside. */
export { createBroker } from './holdfast-broker.ts'
export type {
  AttachOptions, Broker, BrokerOptions, BrokerStats, ConnectRequest, Connected, Provision, Publisher, PublishRequest,
  SessionInfo
} from './broker.ts'
export { lookAtSessions, type LogRecords, type SessionsLook } from './sessions/inspect.ts'
export { isShared } from './model/topics.ts'
export type { Session } from './session/session.ts'
export { HoldfastError, ERRORS, type ErrorCode } from './model/errors.ts'
export { DEFAULT_LIMITS, type Limits } from './model/limits.ts'
export { processHeap, type Heap } from './system/heap.ts'
export { systemClock, type Clock, type TimeSource } from './system/clock.ts'
export { inTime } from './system/in-time.ts'
export {
  printable, REFUSAL_KINDS, Refusals, toDoAbout, unready, type Refusal, type RefusalCounts, type RefusalKind, type Who
} from './system/refusals.ts'
export type { BrokerEvents } from './system/events.ts'
export type { Auth, Credentials } from './auth/auth.ts'
export { anonymous, ANONYMOUS } from './auth/anonymous.ts'
export type * from './model/message.ts'
export { QOS, ORIGIN } from './model/message.ts'
export type * from './session/link.ts'
export { CLOSE_REASONS, GAP_REASONS } from './session/link.ts'
export { CONTROL_ID, Suspects, type SuspectsOptions, type Trial, type TrialSink } from './session/poison.ts'
export type { Logger } from './system/logger.ts'
export { silent } from './system/logger.ts'
export type { MqttServer, MqttServerOptions } from './mqtt/server.ts'
export { createMqttServer } from './mqtt/server.ts'
export { foreignOf } from './mqtt/foreign.ts'
export { Turns, type Taker, type Turn } from './system/turns.ts'
export { Intake, type IntakeSource } from './system/intake.ts'
export type { Store, Recovery } from './store/store.ts'
