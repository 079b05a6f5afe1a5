/** How LMDB's file is used, and how much more of it a transaction may need. */
import type { Operation } from './layout.ts'

/** Beside the trees. */
const HEAD_PAGES = 2
/** Pages of the list of free pages, and of what else a transaction may touch. */
const OVERHEAD_PAGES = 16
/** What an entry takes beside its key and value, or a value in pages of its own, at most. */
const NODE_BYTES = 64

interface TreeStats {
  readonly treeDepth: number
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

/** What the package's getStats() returns, which its types do not say. */
export interface LmdbStats {
  readonly pageSize: number
  readonly lastPageNumber: number
  readonly root: TreeStats
  readonly free: TreeStats
}

export interface Pages {
  readonly pageBytes: number
  /** From the beginning of the file up to the last one in use. */
  readonly spanned: number
  readonly used: number
  /** Nodes of the trees, without the values that have pages of their own. */
  readonly treeUsed: number
  readonly depth: number
}

export function pagesOf ({ lastPageNumber, pageSize, root, free }: LmdbStats): Pages {
  const treeUsed = [root, free].reduce((sum, tree) => sum + tree.treeBranchPageCount + tree.treeLeafPageCount, 0)
  return {
    pageBytes: pageSize,
    spanned: lastPageNumber + 1,
    used: HEAD_PAGES + treeUsed + root.overflowPages + free.overflowPages,
    treeUsed,
    depth: root.treeDepth
  }
}

/** At most so many pages does a transaction add to the file, if it finds no free one. */
export function pagesNeeded (operations: readonly Operation[], { pageBytes, treeUsed, depth }: Pages): number {
  let own = 0
  let shared = 0
  for (const { key, value } of operations) {
    if (value === null) continue
    const inTree = key.length + value.length + NODE_BYTES < pageBytes / 2
    if (!inTree) own += Math.ceil((value.length + NODE_BYTES) / pageBytes)
    shared += key.length + NODE_BYTES + (inTree ? value.length : 0)
  }
  const n = operations.length
  // Each page of the tree is copied once at most. Each may be split once, and again for every half page that comes in.
  const copied = Math.min(n * (depth + 1), treeUsed)
  const split = Math.min(n, treeUsed) + Math.ceil(shared * 4 / pageBytes)
  return own + copied + split * 2 + OVERHEAD_PAGES
}
