import { Listeners } from "./listeners.js";
import { isAfter } from "./position.js";

/** How many rooms one connection may have; the server's default limit. */
export const MAX_ROOMS = 50;

/** A room that somebody here wants to hear. */
export interface Room {
  readonly id: string;
  /** How many want it; 0: it is closed, or ended. */
  handles: number;
  /** The newest entry delivered of this room: what is not after it is a repetition. */
  seen: string | null;
  /** Its entries after `seen` may not have come yet, although the connection is further. */
  filling: boolean;
  readonly onEnd: Listeners<[reason: string]>;
}

/** The rooms wanted, counted by their handles, whatever the connection has of them. */
export class Rooms {
  #rooms = new Map<string, Room>();

  get all(): Room[] {
    return [...this.#rooms.values()];
  }

  get(id: string): Room | undefined {
    return this.#rooms.get(id);
  }

  /** `after`: the position from which on the room's entries are wanted. Throws for a room too many. */
  open(id: string, after: string | null): Room {
    let room = this.#rooms.get(id);
    if (!room) {
      if (this.#rooms.size === MAX_ROOMS) throw new RangeError(`orbit: more than ${MAX_ROOMS} rooms are open`);
      room = { id, handles: 0, seen: after, filling: after !== null, onEnd: new Listeners() };
      this.#rooms.set(id, room);
    }
    room.handles++;
    return room;
  }

  close(room: Room): void {
    if (room.handles > 0 && --room.handles === 0) this.#rooms.delete(room.id);
  }

  /** The server refused the room, or ended the right to it: its handles are void from now on. */
  end(room: Room, reason: string): void {
    room.handles = 0;
    this.#rooms.delete(room.id);
    room.onEnd.emit(reason);
  }

  /** What lies before the position doesn't come anymore. */
  skipTo(position: string): void {
    for (const room of this.#rooms.values()) {
      if (isAfter(position, room.seen)) room.seen = position;
      room.filling = false;
    }
  }

  /** The log is shorter than it was: what was seen says nothing about what comes. */
  forget(): void {
    for (const room of this.#rooms.values()) room.seen = null;
  }

  /** Where a connection with all rooms must begin, so that none has a gap. */
  resumeFrom(cursor: string): string {
    for (const room of this.#rooms.values())
      if (room.filling && room.seen !== null && isAfter(cursor, room.seen)) cursor = room.seen;
    return cursor;
  }
}
