/** Values that JSON can carry (RFC 8259), as they were parsed: read an unknown member with Object.hasOwn first. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export interface JsonObject { readonly [name: string]: Json }
