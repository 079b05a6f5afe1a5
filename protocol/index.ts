/** What travels between clients and server: the envelope of an event, and the topics that carry it. No Node in it. */
export {
  ARGUMENT_DEPTH_MAX, BINARIES_PER_EVENT_MAX, EnvelopeError, MESSAGE_ID_LENGTH_MAX, decodeEnvelope, decodeJson,
  decodeMsgpack, decodePayload, decodeText, encodeEnvelope, encodeJson, encodeMsgpack, envelopeText, settle, wrongWith,
  type Envelope
} from './envelope.ts'
export {
  clientNameOf, decodeName, deviceSessionId, encodeName, encodeNamespace, eventTopic, inboxOf, roomFilterAround,
  scopeFilter, sessionId, topicEvent, transientSessionId, type Scope
} from './names.ts'
