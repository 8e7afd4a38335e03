import type { Message, Tombstone } from "../generated/events.js";
import { same, Versioned } from "./versioned.js";

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The order in which the server lists messages. Times and ids of one shape: as text. */
const order = (a: Message, b: Message): number => compare(a.postedAt, b.postedAt) || compare(a.id, b.id);

/**
 * A room's messages: pages that were fetched and events that arrived, merged by
 * version. It holds everything that it heard of, and shows what is connected:
 * an edit of a message from last year doesn't put it above today's.
 */
class Feed {
  readonly versioned = new Versioned<Message>();
  /** There are older ones than the shown. */
  hasMore = true;
  #shown = new Set<string>(); // posted while we listened, or of a page
  #oldest: Message | null = null; // of the pages
  #end: string | null = null; // before it, we were told, there is nothing

  posted(message: Message): void {
    this.versioned.put(message);
    this.#shown.add(message.id);
  }

  deleted(tombstone: Tombstone): void {
    this.versioned.remove(tombstone);
    this.#shown.delete(tombstone.id);
    // The server knows nothing before a message that is gone: it has to be asked again.
    if (tombstone.id === this.#end) this.hasMore = true;
  }

  /** `before`: what it was asked for with. `full`: there may be more. */
  page(messages: readonly Message[], before: string | undefined, full: boolean): void {
    for (const message of messages) this.posted(message);
    this.#oldest = messages[0] ?? this.#oldest;
    this.#end = messages.length === 0 && before ? before : null;
    this.hasMore = full || (this.#end !== null && !this.versioned.items.has(this.#end));
  }

  list(): readonly Message[] {
    const oldest = this.#oldest;
    return [...this.versioned.items.values()]
      .filter((message) => this.#shown.has(message.id) || !this.hasMore || (oldest && order(oldest, message) <= 0))
      .sort(order);
  }

  /** The message before which the next page ends. */
  cursor(): string | undefined {
    const oldest = this.#oldest;
    return oldest ? this.list().find((message) => order(oldest, message) <= 0)?.id : undefined;
  }
}

/** The feed that is shown, and the one that will replace it when it has its first page. */
export class Timeline {
  #current = new Feed();
  #next: Feed | null = this.#current;
  #list: readonly Message[] | null = [];

  /** It has its first page. */
  get loaded(): boolean {
    return this.#next !== this.#current;
  }

  get hasMore(): boolean {
    return this.loaded && this.#current.hasMore;
  }

  get list(): readonly Message[] {
    return (this.#list ??= this.loaded ? this.#current.list() : []);
  }

  /** Anew, for what is shown may have holes. It stays until the first page is there. */
  restart(): void {
    if (this.loaded) this.#next = new Feed();
    else this.#current = this.#next = new Feed();
  }

  posted(message: Message): void {
    this.#each((feed) => feed.posted(message));
  }

  edited(message: Message): void {
    this.#each((feed) => feed.versioned.put(message));
  }

  deleted(tombstone: Tombstone): void {
    this.#each((feed) => feed.deleted(tombstone));
  }

  /** The newest messages, asked for after the room was joined. */
  firstPage(messages: readonly Message[], full: boolean): void {
    const next = this.#next ?? new Feed();
    next.page(messages, undefined, full);
    // What didn't change stays the same object, for its readers.
    const { items } = next.versioned;
    for (const [id, message] of items) {
      const had = this.#current.versioned.items.get(id);
      if (had && same(had, message)) items.set(id, had);
    }
    this.#current = next;
    this.#next = null;
    this.#list = null;
  }

  /** Asks for the page before what is shown, and puts it there. Without a message to begin at: false. */
  async loadMore(
    fetchPage: (before: string) => Promise<{ messages: readonly Message[]; full: boolean }>,
  ): Promise<boolean> {
    const feed = this.#current;
    const before = feed.cursor();
    if (!before) return false;
    const { messages, full } = await fetchPage(before);
    feed.page(messages, before, full);
    this.#list = null;
    return true;
  }

  #each(fn: (feed: Feed) => void): void {
    for (const feed of new Set([this.#current, this.#next])) if (feed) fn(feed);
    this.#list = null;
  }
}
