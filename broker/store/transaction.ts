/**
 * What one transaction of the embedded store writes, for one or more batches, and what changes in memory once it is
 * on disk. Until then nothing in memory changes, so a transaction that fails leaves no trace.
 */
import { messageBytes, Placed } from '../model/message.ts'
import type { Entry, Message, Offset } from '../model/message.ts'
import { Block, encodeBlock, messageSizeMax } from './block.ts'
import type { BlockFacts, BlockTable } from './block-table.ts'
import { blockKey, encodeRecord, recordKey } from './layout.ts'
import type { Operation } from './layout.ts'
import type { LiveBytes } from './live-bytes.ts'
import type { Batch } from './store.ts'

/** Blocks are cut here: reading one message reads its block, and a block goes when its last message is trimmed. */
const BLOCK_BYTES_MAX = 131_072
/** A block is written again without its dead messages when so little of it lives. */
const THIN_SHARE = 1 / 4
/** Smaller ones take no less room when they are written again. */
const THIN_BYTES_MIN = 8_192
/** Bytes of blocks that one transaction writes again at most. */
const REWRITE_BYTES_MAX = 524_288

export interface LogState {
  readonly blocks: BlockTable
  readonly live: LiveBytes
  readonly load: (facts: BlockFacts) => Block | undefined
}

export class Transaction {
  readonly operations: Operation[] = []
  readonly entries: Entry[] = []
  readonly tails: Offset[] = []
  /** Blocks that are deleted or written again. */
  readonly changed: BlockFacts[] = []
  readonly #added: BlockFacts[] = []
  readonly #trimmed: Offset[] = []
  readonly #log: LogState
  tail: Offset

  constructor (log: LogState, tail: Offset, batches: readonly Batch[]) {
    this.#log = log
    this.tail = tail
    for (const batch of batches) this.#add(batch)
    this.#writeBlocks()
    this.#trim(batches)
  }

  /** True if no block that stays shows how far offsets were given. */
  get losesTail (): boolean {
    return this.#added.length === 0 &&
      this.changed.some(({ first, count, live }) => live === 0 && first + count - 1 === this.tail)
  }

  /** Brings the memory up to what is on disk now. */
  apply (): void {
    const { blocks, live } = this.#log
    for (const facts of this.#added) blocks.push(facts)
    for (const entry of this.entries) live.add(entry.offset, messageBytes(entry))
    for (const offset of this.#trimmed) live.remove(offset)
    for (const facts of this.changed) blocks.update(facts)
  }

  #add ({ messages, changes }: Batch): void {
    const before = this.tail
    for (const message of messages) {
      this.tail = this.tail + 1 as Offset
      this.entries.push(new Placed(message, this.tail))
    }
    for (const { table, key, value, after } of changes) {
      const at = before + after as Offset
      this.operations.push(value === null
        ? { key: recordKey(table, key), value }
        : encodeRecord(table, key, value, at))
    }
    this.tails.push(this.tail)
  }

  #writeBlocks (): void {
    for (let from = 0; from < this.entries.length;) {
      let to = from
      let size = 0
      let bytes = 0
      while (to < this.entries.length && (to === from || size < BLOCK_BYTES_MAX)) {
        size += messageSizeMax(this.entries[to])
        bytes += messageBytes(this.entries[to++])
      }
      const first = this.entries[from].offset
      const count = to - from
      this.operations.push({ key: blockKey(first, count), value: encodeBlock(first, this.entries.slice(from, to)) })
      this.#added.push({ first, count, live: count, liveBytes: bytes, heldBytes: bytes })
      from = to
    }
  }

  #trim (batches: readonly Batch[]): void {
    const offsets = sorted(batches)
    let rewritten = 0
    for (let i = 0; i < offsets.length;) {
      const facts = this.#log.blocks.find(offsets[i])
      if (facts === undefined) { i++; continue }
      let { live, liveBytes, heldBytes } = facts
      const dead = new Set<Offset>()
      for (; i < offsets.length && offsets[i] < facts.first + facts.count; i++) {
        const bytes = this.#log.live.get(offsets[i])
        if (bytes < 0 || dead.has(offsets[i])) continue
        dead.add(offsets[i])
        live--
        liveBytes -= bytes
      }
      if (dead.size === 0) continue
      this.#trimmed.push(...dead)
      const key = blockKey(facts.first, facts.count)
      if (live === 0) {
        this.operations.push({ key, value: null })
      } else if (heldBytes >= THIN_BYTES_MIN && liveBytes < heldBytes * THIN_SHARE &&
        rewritten + heldBytes <= REWRITE_BYTES_MAX) {
        const value = this.#rewrite(facts, dead)
        if (value !== undefined) {
          this.operations.push({ key, value })
          rewritten += heldBytes
          heldBytes = liveBytes
        }
      }
      this.changed.push({ ...facts, live, liveBytes, heldBytes })
    }
  }

  #rewrite (facts: BlockFacts, dead: ReadonlySet<Offset>): Buffer | undefined {
    const block = this.#log.load(facts)
    if (block === undefined) return undefined
    return encodeBlock(facts.first, Array.from({ length: facts.count }, (_, k): Message | undefined => {
      const offset = facts.first + k as Offset
      return this.#log.live.get(offset) < 0 || dead.has(offset) ? undefined : block.message(k)
    }))
  }
}

/** What the batches trim, ascending. Each is in order already; several together need not be. */
function sorted (batches: readonly Batch[]): readonly Offset[] {
  if (batches.length === 1) return batches[0].trim
  return batches.flatMap(({ trim }) => trim).sort((a, b) => a - b)
}
