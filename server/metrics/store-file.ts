import { stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { DATA_FILE } from '../../broker/store/data-file.ts'
import type { StoreFile } from './metrics.ts'

const BLOCK_BYTES = 512

/** Undefined where it can't be told: /readyz says what is wrong with it. */
export async function storeFileOf (folder: string): Promise<StoreFile | undefined> {
  try {
    const [{ size, blocks }, disk] = await Promise.all([stat(join(folder, DATA_FILE)), statfs(folder)])
    return { fileBytes: Math.min(size, blocks * BLOCK_BYTES), diskFreeBytes: disk.bavail * disk.bsize }
  } catch {
    return undefined
  }
}
