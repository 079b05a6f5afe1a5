/** For one entry of a Map; a little less in a Set. */
const ENTRY_BYTES = 28
/** How full it may be. Then twice the room is taken at once, which has to be reckoned with before it happens. */
const FULL_SHARE = 0.9
const ENTRIES_MIN = 8

/** What the table of a Map or Set takes of the heap, beside what stands in it. */
export function tableBytes (entries: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(ENTRIES_MIN, entries / FULL_SHARE))) * ENTRY_BYTES
}
