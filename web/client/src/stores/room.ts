import type { Message, Tombstone } from "../generated/events.js";
import { HttpError } from "../http.js";
import type { Realtime, RoomHandle } from "../realtime.js";
import { Retry } from "./retry.js";
import { Timeline } from "./timeline.js";

/** How many messages are fetched at a time: 1 to 200. */
const PAGE = 50;
const MAX_PAGE = 200;

/** What a room that was opened shows. */
export interface RoomMessages {
  /**
   * - `loading`: joining, or fetching the messages; tried again until it succeeds.
   * - `ready`: `messages` is complete from its first to the newest, and stays so.
   * - `ended`: there is no such room for this member (anymore), see `reason`.
   *   Should it (re)appear, it is opened again by itself.
   */
  readonly status: "loading" | "ready" | "ended";
  /** In order of posting, the newest last. */
  readonly messages: readonly Message[];
  /** There are older ones: `loadMore` fetches them. */
  readonly hasMore: boolean;
  /** `ended`: `not_found`, `revoked`, `room_deleted`, or why it can't be opened. */
  readonly reason: string | null;
}

/** What is shown of a room before it is opened. */
export const notOpen: RoomMessages = { status: "loading", messages: [], hasMore: false, reason: null };

/**
 * A room that somebody wants. It is joined first and its messages are fetched
 * then: what is posted in between comes both ways, and what comes twice is one.
 */
export class OpenRoom {
  /** How many want it. */
  leases = 0;
  #joined = false;
  #handle: RoomHandle | null = null;
  #reason: string | null = null;
  #timeline = new Timeline();
  #fetching: Retry | null = null;
  #more: Promise<void> | null = null;

  constructor(
    readonly id: string,
    private readonly rt: Realtime,
    private readonly changed: () => void,
  ) {}

  get messages(): RoomMessages {
    const { list: messages, loaded, hasMore } = this.#timeline;
    if (this.#reason) return { status: "ended", messages: [], hasMore: false, reason: this.#reason };
    return { status: loaded ? "ready" : "loading", messages, hasMore, reason: null };
  }

  get ended(): boolean {
    return this.#reason !== null;
  }

  join(): void {
    if (this.#joined) return;
    this.#joined = true;
    this.#reason = null;
    this.#timeline = new Timeline();
    this.refresh();
    this.changed();
  }

  leave(): void {
    this.#joined = false;
    this.#fetching?.stop();
    this.#handle?.close();
    this.#fetching = this.#handle = null;
  }

  /** Fetches the newest messages. What is shown stays until they are there. */
  refresh(): void {
    if (!this.#joined) return;
    this.#fetching?.stop();
    const timeline = this.#timeline;
    const limit = Math.min(MAX_PAGE, Math.max(PAGE, timeline.list.length));
    timeline.restart();
    this.#fetching = new Retry(this.rt, async (signal) => {
      // Without a position nothing says from where on events will come.
      if (this.rt.position === null) throw new Error("orbit: not connected yet");
      try {
        this.#handle ??= this.rt.room(this.id, { onEnd: (reason) => this.#end(reason) });
        const messages = await this.#fetch({ limit }, signal);
        timeline.firstPage(messages, messages.length === limit);
        this.changed();
      } catch (error) {
        if (error instanceof HttpError && error.status === 404) this.#end("not_found");
        else if (error instanceof RangeError || (error instanceof HttpError && !error.transient))
          this.#end(error.message);
        else throw error;
      }
    });
  }

  /** Calls while one is under way are that one. */
  loadMore(): Promise<void> {
    return (this.#more ??= this.#loadMore().finally(() => (this.#more = null)));
  }

  async #loadMore(): Promise<void> {
    const timeline = this.#timeline;
    if (!this.#joined || !timeline.hasMore) return;
    const anchored = await timeline.loadMore(async (before) => {
      const messages = await this.#fetch({ limit: PAGE, before });
      return { messages, full: messages.length === PAGE };
    });
    if (anchored) this.changed();
    else this.refresh(); // all that was shown has been deleted
  }

  posted(message: Message): void {
    this.#timeline.posted(message);
    this.changed();
  }

  edited(message: Message): void {
    this.#timeline.edited(message);
    this.changed();
  }

  deleted(tombstone: Tombstone): void {
    this.#timeline.deleted(tombstone);
    this.changed();
  }

  #end(reason: string): void {
    this.leave();
    this.#reason = reason;
    this.changed();
  }

  async #fetch(query: { limit: number; before?: string }, signal?: AbortSignal): Promise<readonly Message[]> {
    const search = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(value)]));
    const response = await this.rt.request(`rooms/${encodeURIComponent(this.id)}/messages?${search}`, {
      ...(signal && { signal }),
    });
    if (!response.ok) throw HttpError.of(response);
    return ((await response.json()) as { messages: readonly Message[] }).messages;
  }
}
