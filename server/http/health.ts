/** Whether the process is there (/healthz), and whether it serves (/readyz). */
import type { Route } from './router.ts'

/** @param notReady why it does not serve now; undefined where it does */
export function healthRoutes (notReady: () => string | undefined): Route[] {
  return [
    { method: 'GET', path: '/healthz', answer: () => ({ status: 200, json: { status: 'ok' } }) },
    {
      method: 'GET',
      path: '/readyz',
      answer () {
        const reason = notReady()
        return { status: reason === undefined ? 200 : 503, json: { ready: reason === undefined, reason } }
      }
    }
  ]
}
