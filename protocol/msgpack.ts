/**
 * Walks MessagePack bytes without building anything, so that hostile ones are refused before a decoder allocates for
 * them: an array header of five bytes may claim four billion elements.
 */

export interface Bounds {
  /** Containers inside containers. */
  readonly depthMax: number
  readonly binariesMax: number
}

/** True when `bytes` are exactly one complete value within the bounds, with text keys and without extension types. */
export function isPlainMsgpack (bytes: Uint8Array, bounds: Bounds): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  /** Open containers: how many values each still expects. In a map every second value is a key. */
  const open: Array<{ left: number, readonly map: boolean }> = []
  let at = 0
  let binaries = 0

  try {
    do {
      const top = open.at(-1)
      const key = top !== undefined && top.map && top.left % 2 === 0
      if (top !== undefined) top.left--
      const type = view.getUint8(at++)
      const text = textLength(type)
      if (text !== undefined) {
        skip(text)
      } else if (type >= 0xd9 && type <= 0xdb) {
        skip(length(type - 0xd9))
      } else if (key) {
        return false
      } else if (type >= 0x80 && type <= 0x9f) {
        if (!enter(type & 0x0f, type < 0x90)) return false
      } else if (type >= 0xdc && type <= 0xdf) {
        if (!enter(length(1 + (type & 1)), type >= 0xde)) return false
      } else if (type >= 0xc4 && type <= 0xc6) {
        if (++binaries > bounds.binariesMax) return false
        skip(length(type - 0xc4))
      } else if (type >= 0xca && type <= 0xd3) {
        skip(NUMBER_BYTES[type - 0xca])
      } else if (type === 0xc1 || (type > 0xc3 && type < 0xe0)) { // reserved, or an extension
        return false
      }
      while (open.at(-1)?.left === 0) open.pop()
    } while (open.length > 0)
  } catch { // read past the end
    return false
  }
  return at === bytes.byteLength

  function skip (count: number): void {
    at += count
  }

  /** Reads a length of 1, 2 or 4 bytes. */
  function length (width: number): number {
    const value = width === 0 ? view.getUint8(at) : width === 1 ? view.getUint16(at) : view.getUint32(at)
    at += 1 << width
    return value
  }

  function enter (count: number, map: boolean): boolean {
    open.push({ left: map ? count * 2 : count, map })
    return open.length <= bounds.depthMax
  }
}

/** float 32, float 64, uint 8 to 64, int 8 to 64. */
const NUMBER_BYTES = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8]

function textLength (type: number): number | undefined {
  return type >= 0xa0 && type <= 0xbf ? type & 0x1f : undefined
}
