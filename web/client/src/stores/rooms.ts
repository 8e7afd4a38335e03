import type { Realtime } from "../realtime.js";
import { Entries } from "./part.js";
import { OpenRoom, type RoomMessages } from "./room.js";

/** A room being open, until `close()`. */
export interface RoomLease {
  readonly id: string;
  /** Fetches an older page of messages into the store. Rejects when that fails; more calls at a time are one. */
  loadMore(): Promise<void>;
  /** The last lease of a room closes it, and its messages are forgotten. */
  close(): void;
}

/** The rooms that somebody wants, with their messages. */
export class OpenRooms extends Entries<RoomMessages> {
  #rooms = new Map<string, OpenRoom>();
  #settling = false;

  /** `changed`: there is something to commit. */
  constructor(
    private readonly rt: Realtime,
    private readonly changed: () => void,
  ) {
    super();
  }

  room(id: string): OpenRoom | undefined {
    return this.#rooms.get(id);
  }

  open(id: string): RoomLease {
    const room = this.#rooms.get(id) ?? new OpenRoom(id, this.rt, () => this.#show(room));
    this.#rooms.set(id, room);
    room.leases++;
    this.#settle();
    let open = true;
    return {
      id,
      loadMore: () => room.loadMore(),
      close: () => {
        if (!open) return;
        open = false;
        room.leases--;
        this.#settle();
      },
    };
  }

  /** A room (re)appeared. */
  reopen(id: string): void {
    const room = this.#rooms.get(id);
    if (room?.ended) room.join();
  }

  /** There may be a gap behind what is shown. */
  refresh(): void {
    for (const room of this.#rooms.values()) room.refresh();
  }

  close(): void {
    for (const room of this.#rooms.values()) room.leave();
    this.#rooms.clear();
    this.clear();
  }

  /** A moment later: closed and opened in one breath, as StrictMode does it, is nothing. */
  #settle(): void {
    if (this.#settling) return;
    this.#settling = true;
    queueMicrotask(() => {
      this.#settling = false;
      for (const room of this.#rooms.values()) {
        if (room.leases > 0) {
          if (!room.ended) room.join();
          continue;
        }
        room.leave();
        this.#rooms.delete(room.id);
        this.delete(room.id);
        this.changed();
      }
    });
  }

  #show(room: OpenRoom): void {
    if (this.#rooms.get(room.id) !== room) return;
    this.set(room.id, room.messages);
    this.changed();
  }
}
