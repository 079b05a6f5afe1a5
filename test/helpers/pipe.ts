/** One direction of a proxied connection: takes bytes from one socket, and does to them what the faults say. */
import type { Socket } from 'node:net'
import { reset } from './reset.ts'

export interface Faults {
  readonly hole?: boolean
  readonly stall?: boolean
  readonly delayMs?: number
  readonly bytesPerSecond?: number
  readonly cutAfter?: { readonly bytes: number, readonly kind: 'reset' | 'finish' }
}

export interface Pipe {
  /** The faults have changed. */
  changed (): void
  stop (): void
}

type Item = { readonly what: 'bytes', readonly bytes: Buffer, readonly at: number } |
  { readonly what: 'finish' | 'reset', readonly at: number }

/** Beyond it the sender is not read: it feels the slow link, as with TCP. */
const QUEUE_BYTES_MAX = 1_048_576
/** A throttled direction sends this often. */
const SLICE_MS = 20

export function createPipe (
  from: Socket, to: Socket, faults: () => Faults, count: (bytes: number) => void,
  end: (kind: 'reset' | 'finish') => void
): Pipe {
  const queue: Item[] = []
  let queuedBytes = 0
  let passedBytes = 0
  let lost = false
  let waiting = false
  let stopped = false
  let timer: NodeJS.Timeout | undefined

  from.on('data', (bytes: Buffer) => {
    count(bytes.length)
    if (swallow()) return
    put({ what: 'bytes', bytes, at: Date.now() })
    queuedBytes += bytes.length
    if (queuedBytes > QUEUE_BYTES_MAX) from.pause()
  })
  from.on('end', () => put({ what: 'finish', at: Date.now() }))
  from.on('error', () => put({ what: 'reset', at: Date.now() }))
  to.on('drain', () => { waiting = false; run() })
  to.on('error', () => {})

  /** Bytes that fall into a hole are gone, and with them the connection: nothing passes in this direction any more. */
  function swallow (): boolean {
    if (faults().hole === true) lost = true
    return lost
  }

  function put (item: Item): void {
    if (stopped || swallow()) return
    queue.push(item)
    run()
  }

  function run (): void {
    while (!stopped && !waiting && timer === undefined && queue.length > 0) {
      const { stall, delayMs = 0, bytesPerSecond } = faults()
      if (stall === true) return
      const late = queue[0].at + delayMs - Date.now()
      if (late > 0) return wait(late)
      const item = queue.shift()!
      if (item.what === 'bytes') send(item, bytesPerSecond)
      else if (item.what === 'finish') to.end()
      else { stopped = true; reset(to) }
    }
  }

  function send (item: { bytes: Buffer, at: number }, bytesPerSecond: number | undefined): void {
    let { bytes } = item
    if (bytesPerSecond !== undefined) {
      const slice = Math.max(1, Math.floor(bytesPerSecond * SLICE_MS / 1000))
      if (bytes.length > slice) queue.unshift({ what: 'bytes', bytes: bytes.subarray(slice), at: item.at })
      bytes = bytes.subarray(0, slice)
      wait(Math.max(SLICE_MS, bytes.length * 1000 / bytesPerSecond))
    }
    const { cutAfter } = faults()
    const over = cutAfter === undefined ? -1 : passedBytes + bytes.length - cutAfter.bytes
    // a connection that has passed more than that already passes nothing
    if (over >= 0) bytes = bytes.subarray(0, Math.max(0, bytes.length - over))
    passedBytes += bytes.length
    queuedBytes -= bytes.length
    if (queuedBytes <= QUEUE_BYTES_MAX / 2) from.resume()
    if (bytes.length > 0 && !to.destroyed && !to.write(bytes)) waiting = true
    if (over >= 0 && cutAfter !== undefined) end(cutAfter.kind)
  }

  function wait (ms: number): void {
    timer = setTimeout(() => { timer = undefined; run() }, ms)
  }

  return {
    changed: run,
    stop () {
      stopped = true
      clearTimeout(timer)
      queue.length = 0
    }
  }
}
