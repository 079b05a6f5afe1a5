/** Rules as the bridge takes them: parsed and checked by config/bridge-rules.ts, not yet compiled. */
export type * from '../../../config/rule.ts'
export { NO_RULES, PAYLOAD_FORMS, PROOF_LEVELS } from '../../../config/rule.ts'
