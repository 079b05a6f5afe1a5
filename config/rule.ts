/**
 * Rules of the Socket.IO bridge: as somebody writes them, and as they are handed to the bridge, parsed and checked.
 * A seam: types and their words alone. bridge-rules.ts makes the second of the first; docs/rules.md explains them.
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

/**
 * What an emit's ack callback is called with. status: `{ status: 'ok' }` or `{ status: 'error', code, message }`;
 * error-first: `null` and what there is to tell, or `{ code, message }`, where a first argument is taken for an error.
 */
export const ANSWER_FORMS = ['status', 'error-first'] as const

export type AnswerForm = typeof ANSWER_FORMS[number]

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
  readonly answer: AnswerForm
  readonly action: EmitAction
  /** Arguments that `holdfast check` shows it with. */
  readonly example?: readonly unknown[] | undefined
}

export type EmitAction =
  | PublishAction
  | { readonly kind: 'subscribe' | 'unsubscribe', readonly filters: readonly TopicTemplate[] }
  /**
   * The filters of the session that begin and end so; what stands between, one level, is the answer. Undefined for the
   * rooms of docs/socketio.md.
   */
  | { readonly kind: 'list', readonly around: ListTemplate | undefined }
  | { readonly kind: 'ignore' }
  | { readonly kind: 'refuse', readonly reason: string }
  | { readonly kind: 'run', readonly run: (context: EmitContext) => unknown }

export interface ListTemplate {
  readonly before: TopicTemplate
  readonly after: TopicTemplate
}

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
  /** False where the session that emits it is not to get it. */
  readonly echo: boolean
  readonly id: Hole | undefined
}

export interface DeliverRule {
  /** For messages: `deliver[2]`. */
  readonly path: string
  readonly namespace: TextPattern | undefined
  readonly topic: TopicPattern
  readonly action: DeliverAction
  /** The payload that `holdfast check` shows it with: a text as it is, any other value as JSON. */
  readonly example?: unknown
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
  /** What docs/socketio.md describes comes last; `deliver`: of messages only, not of emits; false: only the rules. */
  readonly defaults: boolean | 'deliver'
}

export const NO_RULES: RuleSet = { namespaces: [], emit: [], deliver: [], defaults: true }

/** The option `rules`, and the default export of a module named by `rulesModule`. */
export interface RulesOption {
  readonly namespaces?: readonly NamespaceRuleOption[]
  readonly emit?: readonly EmitRuleOption[]
  readonly deliver?: readonly DeliverRuleOption[]
  /** Default true: what docs/socketio.md describes comes after the rules. */
  readonly defaults?: boolean
}

export interface NamespaceRuleOption {
  readonly match: string
  readonly allow?: boolean
  readonly as?: string
  readonly subscribe?: string | readonly string[]
}

/** With exactly one of `topic`, `subscribe`, `unsubscribe`, `list`, `ignore`, `refuse`, `run`. */
export interface EmitRuleOption {
  readonly namespace?: string
  readonly event: string
  readonly topic?: string
  readonly payload?: PayloadForm
  readonly args?: readonly unknown[]
  readonly value?: unknown
  readonly qos?: 0 | 1
  readonly retain?: boolean
  readonly echo?: boolean
  readonly id?: string
  readonly subscribe?: string | readonly string[]
  readonly unsubscribe?: string | readonly string[]
  readonly list?: true | string
  readonly ignore?: true
  readonly refuse?: string
  readonly run?: (context: EmitContext) => EmitOutcome
  /** Default: status. */
  readonly answer?: AnswerForm
  readonly example?: readonly unknown[]
}

/** With exactly one of `event`, `ignore`, `run`. */
export interface DeliverRuleOption {
  readonly namespace?: string
  readonly topic: string
  readonly event?: string
  readonly args?: readonly unknown[]
  readonly payload?: PayloadReading
  readonly proof?: ProofLevel
  readonly ignore?: true
  readonly run?: (context: DeliverContext) => DeliverOutcome
  readonly example?: unknown
}

/** What a function answers that stands for a rule of `emit`; topics and filters are taken as they are. */
export type EmitOutcome =
  | {
    readonly topic: string
    readonly payload?: PayloadForm
    /** Of an envelope; default: those of the emit. */
    readonly args?: readonly unknown[]
    /** Of every other payload; default: the first argument. */
    readonly value?: unknown
    readonly qos?: 0 | 1
    readonly retain?: boolean
    readonly echo?: boolean
    readonly id?: string
  }
  | { readonly subscribe: string | readonly string[] }
  | { readonly unsubscribe: string | readonly string[] }
  | { readonly list: true }
  | { readonly ignore: true }
  | { readonly refuse: string }
  /** The rules behind it decide. */
  | { readonly next: true }

/** What a function answers that stands for a rule of `deliver`. */
export type DeliverOutcome =
  | { readonly event: string, readonly args?: readonly unknown[], readonly proof?: ProofLevel }
  | { readonly ignore: true }
  | { readonly next: true }

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
