/** Requests of the server to others: in time, of bounded size, and never to where an answer sends it. */
import type { Answer } from '../broker/index.ts'

export interface OutgoingOptions {
  readonly timeoutMs: number
  readonly bytesMax: number
}

/** Rejects with an Error whose message says why there is no answer, and holds nothing of what was sent. */
export async function request (
  url: string, init: Pick<RequestInit, 'method' | 'headers' | 'body'>, { timeoutMs, bytesMax }: OutgoingOptions,
  signal?: AbortSignal
): Promise<Answer> {
  const timeout = AbortSignal.timeout(timeoutMs)
  try {
    const ended = signal === undefined ? timeout : AbortSignal.any([signal, timeout])
    const response = await fetch(url, { ...init, redirect: 'error', signal: ended })
    return { status: response.status, body: await textOf(response, bytesMax) }
  } catch (error) {
    throw new Error(timeout.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(error))
  }
}

async function textOf (response: Response, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > bytesMax) throw new Error(`the answer is longer than ${bytesMax} bytes (authUrlAnswerBytesMax)`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** fetch() says "fetch failed", and what it means in `cause`. */
function reasonOf (error: unknown): string {
  const { cause, message } = error as { readonly cause?: unknown, readonly message?: string }
  const { code, message: inner } = (cause ?? {}) as { readonly code?: string, readonly message?: string }
  return [inner, code, message].find((text) => text !== undefined && text !== '') ?? 'unknown reason'
}
