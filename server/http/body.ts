/** The body of a request, bounded before it is read [G6]. */
import type { IncomingMessage } from 'node:http'
import { HttpError } from './http-error.ts'

/** Undefined where there is no body. Throws HttpError: 413, 415, 400. */
export async function readJson (request: IncomingMessage, bytesMax: number): Promise<unknown> {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers
  if (encoding === undefined && (length === undefined || length === '0')) return undefined
  if (Number(length) > bytesMax) throw tooLarge(bytesMax)
  checkType(request)
  const bytes = await readBytes(request, bytesMax)
  if (bytes.length === 0) return undefined
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new HttpError(400, 'BODY_INVALID', 'the body is not JSON in UTF-8')
  }
}

function checkType ({ headers }: IncomingMessage): void {
  const type = headers['content-type']?.split(';', 1)[0].trim().toLowerCase()
  if (type !== 'application/json') {
    throw new HttpError(415, 'TYPE_UNSUPPORTED', 'send JSON, with Content-Type: application/json')
  }
  if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') {
    throw new HttpError(415, 'TYPE_UNSUPPORTED', 'send the body as it is, without Content-Encoding')
  }
}

/** Rejects with HttpError 413, and with 400 where the sender has gone. What is too long is not read on. */
function readBytes (request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    let bytes = 0
    request.on('data', (piece: Buffer) => {
      bytes += piece.length
      if (bytes <= bytesMax) pieces.push(piece)
      else {
        request.pause()
        reject(tooLarge(bytesMax))
      }
    })
    request.once('end', () => { resolve(Buffer.concat(pieces)) })
    request.once('close', () => {
      reject(new HttpError(400, 'BODY_INVALID', 'the body ended before it was whole'))
    })
    request.on('error', () => {}) // 'close' follows
  })
}

function tooLarge (bytesMax: number): HttpError {
  return new HttpError(413, 'BODY_TOO_LARGE', `the body may have ${bytesMax} bytes`)
}
