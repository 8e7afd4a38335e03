import type { ServerEvent } from "./generated/events.js";
import type { Room, Rooms } from "./rooms.js";
import type { ClientMessage } from "./transports/transport.js";

/**
 * How many rooms are added by messages at a time. More come cheaper, and within
 * the server's limit of messages, by opening another connection.
 */
const MAX_MESSAGES = 10;

/** A message's number: its answer has the same. Refs of all connections differ. */
let lastRef = 0;

/** Which rooms one connection has, and the messages that change them. */
export class Subscriptions {
  /** The rooms in the connection's URL. */
  readonly initial: readonly Room[];
  // By id. A room that was closed and opened again is another one: what came
  // between is missing.
  #asked: Map<string, Room>;
  #granted: Map<string, Room>;
  #pending = new Map<number, Room>(); // by ref of a subscribe
  #fences = new Map<number, Set<Room>>();

  constructor(private readonly rooms: Rooms) {
    this.initial = rooms.all;
    this.#asked = new Map(this.initial.map((room) => [room.id, room]));
    this.#granted = new Map(this.#asked);
  }

  /**
   * The room that an entry of the channel is for. None, if nobody wants it, or
   * if it was opened anew and this connection still has the former one: what
   * came between must come first.
   */
  room(channel: string): Room | undefined {
    const room = this.#granted.get(channel.slice("room:".length));
    return room?.handles ? room : undefined;
  }

  /**
   * Brings the connection to the rooms that are wanted. False: only another
   * connection can.
   *
   * Entries of a room from before it was subscribed follow the answer, and
   * nothing says where they end. But the server answers in order: the answer to
   * another subscribe, sent behind, is a fence that they can't pass.
   */
  sync(send: ((message: ClientMessage) => void) | undefined): boolean {
    const missing = this.rooms.all.filter((room) => this.#asked.get(room.id) !== room);
    for (const room of missing) room.filling = true;
    // Rooms nobody wants anymore cost little: not worth another connection.
    if (!send) return missing.length === 0;
    if (missing.length > MAX_MESSAGES) return false;
    for (const id of this.#asked.keys()) {
      if (this.rooms.get(id)) continue;
      this.#asked.delete(id);
      send({ type: "unsubscribe", room: id, ref: ++lastRef });
    }
    for (const room of missing) {
      this.#asked.set(room.id, room);
      this.#pending.set(++lastRef, room);
      send({ type: "subscribe", room: room.id, ref: lastRef, ...(room.seen && { position: room.seen }) });
    }
    const last = missing.at(-1);
    if (last) {
      this.#fences.set(++lastRef, new Set(missing));
      send({ type: "subscribe", room: last.id, ref: lastRef });
    }
    return true;
  }

  /** Takes an answer, or the end of a right. True: something is to be asked again later. */
  answer(event: ServerEvent): boolean {
    switch (event.type) {
      case "system.hello":
        for (const { id } of this.initial) if (!event.rooms.includes(id)) this.#end(id, "not_found");
        return false;
      case "system.unsubscribed":
        if (event.reason) this.#end(event.room, event.reason);
        return false;
      case "system.subscribed": {
        const room = this.#passed(event.ref);
        if (room) this.#granted.set(room.id, room);
        return false;
      }
      case "system.error": {
        const room = this.#passed(event.ref);
        if (!room) return false;
        this.#fences.forEach((rooms) => rooms.delete(room)); // it stays unfilled
        if (event.code !== "unavailable") this.#end(room.id, event.code);
        return this.#asked.delete(room.id);
      }
    }
    return false;
  }

  /** Returns the room that was asked for with the ref, unless it was a fence. */
  #passed(ref = 0): Room | undefined {
    this.#fences.get(ref)?.forEach((room) => (room.filling = false));
    this.#fences.delete(ref);
    const room = this.#pending.get(ref);
    this.#pending.delete(ref);
    return room;
  }

  #end(id: string, reason: string): void {
    const room = this.#asked.get(id);
    this.#asked.delete(id);
    // If it was opened anew meanwhile, that one is asked for by itself.
    if (room?.handles) this.rooms.end(room, reason);
  }
}
