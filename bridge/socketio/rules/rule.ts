/**
 * Rules, as the bridge takes them: parsed and checked (config/bridge-rules.ts does both), not yet compiled.
 * docs/rules.md says what each means to whoever writes one.
 */

/**
 * A place in a template that is filled in: `{room}`, `{0}`, `{0.room}`, `{1...}`.
 */
export interface Hole {
  /** An argument by its number, or a name: captured by the pattern, or known by itself (`clientId`). */
  readonly name: number | string
  /** Properties inside it. */
  readonly path: readonly string[]
  /** The argument and all behind it. */
  readonly rest: boolean
}

/** Text with holes. */
export type Template = ReadonlyArray<string | Hole>
/** A topic or filter, by level. */
export type TopicTemplate = readonly Template[]

/** A value of JSON with holes: a text that is one hole stands for the value itself. */
export type ValueTemplate =
  | { readonly kind: 'hole', readonly hole: Hole }
  | { readonly kind: 'text', readonly template: Template }
  | { readonly kind: 'literal', readonly value: string | number | boolean | null }
  | { readonly kind: 'list', readonly items: readonly ValueTemplate[] }
  | { readonly kind: 'map', readonly entries: ReadonlyArray<readonly [string, ValueTemplate]> }

/** `{name}`: one character or more; without a name `*`: any number of them. */
export interface Wildcard {
  readonly name: string | undefined
}

/** Two wildcards never stand next to each other. */
export type TextPattern = ReadonlyArray<string | Wildcard>

export type LevelPattern =
  | { readonly kind: 'text', readonly pattern: TextPattern }
  /** `#` or `{name#}`: this level and all behind it, none too for `#`. Last only. */
  | { readonly kind: 'rest', readonly name: string | undefined }

export type TopicPattern = readonly LevelPattern[]

export const PAYLOAD_FORMS = ['envelope', 'json', 'text', 'bytes', 'msgpack'] as const
/** How the arguments of an event are written as bytes. */
export type PayloadForm = typeof PAYLOAD_FORMS[number]
/** How bytes are read; `auto` as docs/envelope.md says. */
export type PayloadReading = PayloadForm | 'auto'

export const PROOF_LEVELS = ['handled', 'received', 'ack'] as const
/** What must be known before a message counts as delivered. */
export type ProofLevel = typeof PROOF_LEVELS[number]

export interface NamespaceRule {
  /** For messages: `namespaces[2]`. */
  readonly path: string
  readonly match: TextPattern
  readonly allow: boolean
  readonly as: Template | undefined
  readonly subscribe: readonly TopicTemplate[]
}

export interface EmitRule {
  /** For messages: `emit[2]`. */
  readonly path: string
  readonly namespace: TextPattern | undefined
  readonly event: TextPattern
  readonly action: EmitAction
}

export type EmitAction =
  | PublishAction
  | { readonly kind: 'subscribe' | 'unsubscribe', readonly filters: readonly TopicTemplate[] }
  /** The filters of the session that look like this; the levels of the one hole `name` are the answer. */
  | { readonly kind: 'list', readonly filter: TopicTemplate, readonly name: string }
  | { readonly kind: 'ignore' }
  | { readonly kind: 'refuse', readonly reason: string }
  | { readonly kind: 'run', readonly run: (context: EmitContext) => unknown }

export interface PublishAction {
  readonly kind: 'publish'
  readonly topic: TopicTemplate
  readonly payload: PayloadForm
  /** Of the envelope; undefined for those of the emit. */
  readonly args: readonly ValueTemplate[] | undefined
  /** Of every other payload. */
  readonly value: ValueTemplate
  readonly qos: 0 | 1
  readonly retain: boolean
  readonly id: Hole | undefined
}

export interface DeliverRule {
  /** For messages: `deliver[2]`. */
  readonly path: string
  readonly namespace: TextPattern | undefined
  readonly topic: TopicPattern
  readonly action: DeliverAction
}

export type DeliverAction =
  | {
    readonly kind: 'event'
    readonly event: Template
    readonly args: readonly ValueTemplate[] | undefined
    readonly payload: PayloadReading
    readonly proof: ProofLevel
  }
  | { readonly kind: 'ignore' }
  | { readonly kind: 'run', readonly run: (context: DeliverContext) => unknown, readonly payload: PayloadReading }

/** All rules of a bridge; in each list the first that matches wins. */
export interface RuleSet {
  readonly namespaces: readonly NamespaceRule[]
  readonly emit: readonly EmitRule[]
  readonly deliver: readonly DeliverRule[]
  /** What docs/socketio.md describes comes last; false leaves only the rules. */
  readonly defaults: boolean
}

export const NO_RULES: RuleSet = { namespaces: [], emit: [], deliver: [], defaults: true }

/** What a function that stands for a rule of `emit` gets. */
export interface EmitContext {
  readonly event: string
  readonly args: readonly unknown[]
  readonly namespace: string
  /** As the client gave it; undefined where it gave none. */
  readonly clientId: string | undefined
  readonly principal: string
  /** What the pattern captured. */
  readonly captured: Readonly<Record<string, string>>
  /** Any text as one level of a topic. */
  readonly level: (name: string) => string
}

/** What a function that stands for a rule of `deliver` gets. */
export interface DeliverContext {
  readonly topic: string
  /** The payload as arguments, read as the rule says. */
  readonly args: readonly unknown[]
  readonly payload: Uint8Array
  readonly namespace: string
  /** Session that published. */
  readonly publisher: string
  readonly principal: string
  readonly timeMs: number
  readonly retain: boolean
  readonly captured: Readonly<Record<string, string>>
}
