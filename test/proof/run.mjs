/** `npm run proof`: see proof.ts. Plain Node runs it, with the types taken away as it is loaded. */
import '../typescript.mjs'

await import('./proof.ts')
