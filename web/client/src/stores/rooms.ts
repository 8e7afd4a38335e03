import type { Realtime } from "../realtime.js";
import { Part } from "./part.js";
import { OpenRoom, type RoomMessages } from "./room.js";

/** A room being open, until `close()`. */
export interface RoomLease {
  readonly id: string;
  /** Fetches an older page of messages into the store. Rejects when that fails; calls while one is under way are that one. */
  loadMore(): Promise<void>;
  /** The last lease of a room closes it, and its messages are forgotten. */
  close(): void;
}

/** The rooms that somebody wants, with their messages. */
export class OpenRooms extends Part<ReadonlyMap<string, RoomMessages>> {
  #rooms = new Map<string, OpenRoom>();
  #changed = new Set<string>(); // ids, since the last commit
  #settling = false;

  /** `schedule`: there is something to commit. */
  constructor(
    private readonly rt: Realtime,
    private readonly schedule: () => void,
  ) {
    super(new Map());
  }

  room(id: string): OpenRoom | undefined {
    return this.#rooms.get(id);
  }

  open(id: string): RoomLease {
    const room = this.#rooms.get(id) ?? new OpenRoom(id, this.rt, () => this.#show(id));
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

  /** Leaves all rooms. */
  close(): void {
    for (const room of this.#rooms.values()) room.leave();
    this.#rooms.clear();
  }

  protected copy(): ReadonlyMap<string, RoomMessages> {
    const next = new Map(this.store.state);
    for (const id of this.#changed) {
      const room = this.#rooms.get(id);
      if (room) next.set(id, room.messages);
      else next.delete(id);
    }
    this.#changed.clear();
    return next;
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
        this.#show(room.id);
      }
    });
  }

  #show(id: string): void {
    this.#changed.add(id);
    this.touch();
    this.schedule();
  }
}
