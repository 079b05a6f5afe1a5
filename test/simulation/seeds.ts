/**
 * Seeds that once failed, with what they found. They run first, for ever. A change of the simulation or of the broker
 * may change what happens in a world, so what guards against a mistake for good is mutations.mjs.
 */
export const FAILED_SEEDS: ReadonlyArray<readonly [seed: number, found: string]> = [
  [1, 'PUBREL was sent before the PUBREC was durable [G4]'],
  [2, 'after a crash only as many messages as fit the window came with DUP [G4]'],
  [13, 'a clean session was sent what it had unsubscribed while it waited in the queue'],
  [14, 'a stalled link was closed again and again'],
  [21, 'an entry that was acknowledged before an earlier one of another topic was never trimmed [G6]'],
  [22, 'a link that was closed by a clean connect still got messages'],
  [41, 'messages held for their record were written to a link that takes no bytes [G6]'],
  [61, 'a SUBSCRIBE that failed left its QoS behind'],
  [68, 'two clean connects of one client racing each other stopped the whole server [G8]'],
  [69, 'a clean stop after a crash made the server forget what may have been sent before [G4]'],
  [70, 'a backlog that was cut while it was read was told twice [G5]'],
  [85, 'what was unsubscribed and subscribed again during a read was sent all the same'],
  [90, 'a SUBSCRIBE at QoS 0 that failed took messages from the subscription before it [G1]'],
  [97, 'a stop on a full disk was taken for a clean one [G4]'],
  [152, 'time for which a client was connected counted as time away [G2]'],
  [169, 'an entry that left the cache during a read was taken for damaged, and lost for everybody [G2]'],
  [233, 'a new session inherited the filters of the one before, whose removal had failed'],
  [242, 'a connection was accepted while the server stopped'],
  [327, 'after a restart QoS 2 was not completed for a filter that was unsubscribed: the identifier stayed taken [G2]'],
  [413, 'a session expired while its client was connecting [G2]'],
  [427, 'a clean connect and another of the same client raced for ever, and the server could not stop'],
  [445, 'an entry lost to damage was told to nobody [G5]'],
  [665, 'a session that an administrator had ended came back in part after a crash'],
  [729, 'two SUBSCRIBEs in a row, the first of which failed: the second was granted, but did not count [G1]'],
  [819, 'a clean connect on a full disk was answered before the old session was gone for good [G5]'],
  [1394, 'a session ended by a clean connect was written once more behind its own removal [G5]'],
  [4524, 'three SUBSCRIBEs of one filter in a row, at QoS 1, 0 and 2: a message came at two of them [G4]'],
  [5591, 'an identifier that could not be written down was used all the same, and given away after a crash [G2]']
]
