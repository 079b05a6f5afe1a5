/** What rules make of events and topics, without a server: for the command, which tries them. */
export { matchText, matchTopic } from './match.ts'
export { writeEnvelope, writeValue } from './payload.ts'
export * from './rule.ts'
export { Rules } from './rules.ts'
export type { Command } from '../translation/commands.ts'
export type { SocketEvent } from '../translation/translate.ts'
