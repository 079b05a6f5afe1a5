/** `npm run proof`: see proof.ts. Plain Node runs it, with the types taken away as it is loaded. */
import { register } from 'node:module'

register('./typescript.mjs', import.meta.url)
await import('./proof.ts')
