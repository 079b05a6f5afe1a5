/** Holdfast as a library. */
export {
  ListenError, createHoldfast, type Address, type Durable, type Holdfast, type HoldfastAddresses, type HoldfastOptions,
  type HoldfastStats, type Identified, type Identify, type NewSession, type ProgramEmit, type Published,
  type PublishOptions, type ReceivedMessage, type Subscription, type SubscriptionOptions
} from './server/index.ts'
export {
  ERRORS, HoldfastError, type BrokerEvents, type ClientId, type Clock, type Credentials, type ErrorCode, type Logger,
  type Person, type ProgramAuth as Auth, type Principal, type QoS, type SessionInfo, type Store
} from './broker/index.ts'
export { ConfigError, type Problem } from './config/problem.ts'
export type {
  DeliverContext, DeliverOutcome, DeliverRuleOption, EmitContext, EmitOutcome, EmitRuleOption, NamespaceRuleOption,
  RulesOption
} from './config/rule.ts'
