/** The door of the server. */
export { Access, type AccessConfig } from './access.ts'
export type { Holdfast, HoldfastAddresses, HoldfastStats } from './holdfast.ts'
export { authority, ListenError, type Address } from './listen.ts'
export { createLog } from './log.ts'
export type { Durable, HoldfastOptions, Identified, Identify, ProgramEmit } from './options.ts'
export type { NewSession, PublishOptions, Published } from './program.ts'
export { createHoldfast } from './server.ts'
export type { ReceivedMessage, Subscription, SubscriptionOptions } from './subscription.ts'
