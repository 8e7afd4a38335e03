import type { ServerEvent, SystemResyncEvent } from "./generated/events.js";
import { covers, isAfter } from "./position.js";
import type { Room, Rooms } from "./rooms.js";
import type { Snapshot } from "./snapshot.js";

interface Item {
  readonly event: ServerEvent;
  readonly replayed: boolean;
  readonly room: Room | undefined;
}

/** Where the inbox puts what is new. */
export interface Receiver {
  event(event: ServerEvent, replayed: boolean): void;
  snapshot(snapshot: Snapshot): void;
}

/**
 * Lets every entry of the log through once and in order, whatever connections
 * repeat, and holds events back while a snapshot is on its way.
 *
 * Two things are told apart: the cursor, up to which the present connection has
 * given everything, is where the next one resumes; what was seen is where
 * repetitions end. A room has its own, for its entries may come later than
 * others that are newer.
 */
export class Inbox {
  /** Something is missing that no connection will bring: a snapshot must. */
  gap = false;
  #cursor: string | null;
  #seen: string | null;
  #held: Item[] | null = null;
  #since = "";

  constructor(
    position: string | null,
    private readonly rooms: Rooms,
    private readonly to: Receiver,
  ) {
    this.#cursor = this.#seen = position;
  }

  /** Where a connection that has all rooms must begin; `null`: nothing is known yet. */
  get position(): string | null {
    return this.#cursor === null ? null : this.rooms.resumeFrom(this.#cursor);
  }

  get holding(): boolean {
    return this.#held !== null;
  }

  /** From here on events are those of a connection that began at `from` with these rooms. */
  begin(from: string | null, rooms: readonly Room[]): void {
    this.#cursor = from;
    for (const room of rooms) room.filling = false;
  }

  /** `room`: whose entry it is, if it is a room's that somebody wants. */
  accept(event: ServerEvent, replaying: boolean, room: Room | undefined): void {
    const { id, channel } = event;
    const old = id !== undefined && channel !== undefined && !isAfter(id, this.#cursor);
    // Across a gap the place before it is kept: until it is mended, that is where we are.
    if (id !== undefined && (!this.gap || this.#held) && isAfter(id, this.#cursor)) this.#cursor = id;
    const item = { event, replayed: replaying || old, room };
    if (this.#held && channel) this.#held.push(item);
    else this.#pass(item);
  }

  /**
   * The gap can't be replayed; the stream goes on at `head`. With `hold`, what
   * is on a channel waits for a snapshot; without, nobody wants one.
   */
  resync({ id: head, reason }: SystemResyncEvent, hold: boolean): void {
    if (reason === "ahead_of_log") {
      this.#seen = null;
      this.rooms.forget();
    }
    this.#cursor = this.#since = head;
    this.#held = hold ? [] : null;
    this.gap = hold;
    if (!hold) this.#skipTo(head);
  }

  /** The connection is gone, and with it what waited. The gap remains. */
  release(): void {
    this.#held = null;
  }

  /**
   * Applies a snapshot and then what waited for it, in one go. False: it is
   * older than what waited, and a connection must begin at its position.
   */
  stage(snapshot: Snapshot): boolean {
    const held = this.#held;
    const continues = held !== null && covers(snapshot.position, this.#since);
    this.#held = null;
    this.gap = false;
    // A snapshot has no messages: those that waited are passed on.
    if (continues) this.rooms.skipTo(this.#since);
    else this.#skipTo((this.#cursor = snapshot.position));
    this.#seen = snapshot.position;
    this.to.snapshot(snapshot);
    if (continues) held.forEach((item) => this.#pass(item));
    return continues;
  }

  #skipTo(position: string): void {
    // A connection that was replaced may have been ahead.
    if (isAfter(position, this.#seen)) this.#seen = position;
    this.rooms.skipTo(position);
  }

  #pass({ event, replayed, room }: Item): void {
    const { id, channel } = event;
    if (channel?.startsWith("room:")) {
      if (!room?.handles || (id && !isAfter(id, room.seen))) return;
      if (id) room.seen = id;
    } else if (id && channel) {
      if (!isAfter(id, this.#seen)) return;
      this.#seen = id;
    }
    this.to.event(event, replayed);
  }
}
