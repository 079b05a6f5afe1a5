/** Answers of the HTTP front: plain text or JSON, never kept by a cache. */
import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

export function answer (
  response: ServerResponse, status: number, says: string, headers: Readonly<Record<string, string>> = {}
): void {
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(says),
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-store',
    ...headers
  })
  response.end(says)
}

export function answerJson (
  response: ServerResponse, status: number, body: object, headers: Readonly<Record<string, string>> = {}
): void {
  answer(response, status, JSON.stringify(body) + '\n', { 'Content-Type': 'application/json', ...headers })
}

/** Answers a request for an upgrade that nobody takes, and ends its connection. */
export function refuseUpgrade (socket: Duplex, status: string, says: string): void {
  socket.on('error', () => {}) // the client may be gone already
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
    `Content-Length: ${Buffer.byteLength(says)}\r\n\r\n${says}`, () => socket.destroy())
}
