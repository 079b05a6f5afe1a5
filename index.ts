/** Holdfast as a library. */
export { createHoldfast, type Holdfast, type HoldfastOptions, type HoldfastAddresses } from './bin/server.ts'
export { HoldfastError, type ErrorCode, type Auth, type Credentials, type Clock, type BrokerEvents } from './broker/index.ts'
