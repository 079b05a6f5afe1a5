/** Who hears what an Engine.IO connection does. There are very many idle ones, so they share their listeners. */
import type { EnginePacket, EngineSocket } from './engine.ts'

export interface EngineOwner {
  /** A packet is about to be written. */
  created (packet: EnginePacket): void
  /** What was written goes to the transport. */
  flushed (): void
  /** A packet has come. */
  read (packet: EnginePacket): void
  closed (): void
}

const OWNER = Symbol('owner')
type Owned = EngineSocket & { [OWNER]: EngineOwner }

/** At most once for a connection. */
export function listenTo (engine: EngineSocket, owner: EngineOwner): void {
  Object.assign(engine, { [OWNER]: owner })
  engine.on('packetCreate', created).on('flush', flushed).on('packet', read).on('close', closed)
}

function created (this: EngineSocket, packet: EnginePacket): void { (this as Owned)[OWNER].created(packet) }
function flushed (this: EngineSocket): void { (this as Owned)[OWNER].flushed() }
function read (this: EngineSocket, packet: EnginePacket): void { (this as Owned)[OWNER].read(packet) }
function closed (this: EngineSocket): void { (this as Owned)[OWNER].closed() }
