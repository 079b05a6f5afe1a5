/** Options of whoever operates the server: metrics, administration. */
import { TIMER_MS_MAX, ms, optionalPort, text } from './option.ts'

export const OPERATION_OPTIONS = {
  metricsPort: optionalPort('operation',
    'TCP port for /metrics alone (Prometheus), where nobody is asked who they are: let only your monitoring reach ' +
    'it. With 0 the system picks a free one and the log names it. With false there is none; whoever has the token of ' +
    'adminTokenFile gets /metrics on httpPort in any case.'),
  metricsHost: text('operation', /^[^\s/[\]]+$/, 'a host name or an IP address, without brackets or port', '127.0.0.1',
    'Address to listen on for metricsPort. Who reaches it learns counts and sizes, and no topic, name or payload.'),
  adminTokenFile: text('operation', /^[^\0]*$/, 'the path of a file', '',
    'File that holds one secret of at least 32 characters, as from "openssl rand -base64 32". Who sends it ' +
    '(Authorization: Bearer) may administer the server over HTTP at /admin/v1/ and read /metrics. Without it neither ' +
    'is there on httpPort; the commands of this machine need none.'),
  sysIntervalMs: ms('operation', { min: 0, max: TIMER_MS_MAX }, 10_000,
    'How often the values below $SYS/broker/ are published to those who subscribe to them. They are kept nowhere. ' +
    '0: never.')
} as const
