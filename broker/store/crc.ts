/**
 * CRC-32 (IEEE 802.3, reflected) as blocks and records carry it at their end, and which single bit is wrong in bytes
 * whose CRC-32 does not agree.
 */
import { crc32 } from 'node:zlib'

export const CRC_BYTES = 4
/** What the CRC-32 of anything and its CRC-32 is. */
export const CRC_RESIDUE = 0x2144DF1C

const POLYNOMIAL = 0xEDB88320
/**
 * Up to 91,607 bits any two sound sequences differ in 4 places or more (Koopman, "32-Bit Cyclic Redundancy Codes for
 * Internet Applications", 2002), so that two wrong bits are never taken for one. Much shorter here: other damage passes
 * for one wrong bit in (bits / 2^32) of all cases, which is 1 of 500,000 at most.
 */
const BYTES_MAX = 1_024

/** The same bytes with the one bit put right that was wrong; undefined if it was not one, or they are too many. */
export function withoutFlippedBit (bytes: Buffer): Buffer | undefined {
  if (bytes.length > BYTES_MAX) return undefined
  const difference = (crc32(bytes) ^ CRC_RESIDUE) >>> 0
  if (difference === 0) return bytes
  // What one wrong bit makes of the CRC depends only on how many bits come after it. The last one is the highest.
  let after = POLYNOMIAL
  for (let bit = bytes.length * 8 - 1; bit >= 0; bit--) {
    if (after === difference) {
      const right = Buffer.from(bytes)
      right[bit >> 3] ^= 1 << (bit & 7)
      return right
    }
    after = ((after & 1) === 0 ? after >>> 1 : (after >>> 1) ^ POLYNOMIAL) >>> 0
  }
  return undefined
}
