import type { EventMeta, ServerEvent } from "@orbit/realtime";

/** How many events the log shows: it is a window, not an archive. */
const SHOWN = 60;

export interface Entry {
  readonly key: number;
  readonly type: string;
  readonly about: string;
  /** The offset in the workspace's log; empty for what is not in it. */
  readonly offset: string;
  readonly replayed: boolean;
  /** From the commit to this tab, in milliseconds; null for what came later than it happened. */
  readonly latency: number | null;
}

export interface LogState {
  readonly entries: readonly Entry[]; // newest first
  /** Of the latest event that came as it happened. */
  readonly latency: number | null;
}

/** What a side received. Events come faster than anybody reads: readers are told once a frame. */
export class Log {
  #entries: Entry[] = [];
  #latency: number | null = null;
  #key = 0;
  #state: LogState = { entries: [], latency: null };
  #scheduled = false;
  readonly #listeners = new Set<() => void>();

  add(event: ServerEvent, { replayed }: EventMeta, about: string): void {
    const late = replayed && event.channel !== undefined && event.id !== undefined;
    const isChange = event.cause !== undefined && !event.type.startsWith("system.");
    const latency = isChange && event.at && !late ? Math.max(0, Date.now() - Date.parse(event.at)) : null;
    this.#latency = latency ?? this.#latency;
    const offset = event.id?.slice(event.id.lastIndexOf("-") + 1) ?? "";
    this.#entries = [{ key: this.#key++, type: event.type, about, offset, replayed: late, latency }, ...this.#entries.slice(0, SHOWN - 1)];
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#state = { entries: this.#entries, latency: this.#latency };
      for (const fn of this.#listeners) fn();
    });
  }

  get state(): LogState {
    return this.#state;
  }

  subscribe = (fn: () => void): (() => void) => {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  };
}

interface Known {
  /** The name of a member. */
  name(id: string): string | undefined;
}

/** What an event is about, in a few words. */
export function about(event: ServerEvent, known: Known): string {
  if ("message" in event) return typeof event.message === "string" ? event.message : "body" in event.message ? event.message.body : "";
  if ("notification" in event) return event.notification.title;
  if ("subscription" in event) return `${event.subscription.plan}, ${event.subscription.seats} seats`;
  for (const key of ["member", "role", "team", "room", "workspace"] as const) {
    const entity = (event as unknown as Record<string, { id: string; name?: string; slug?: string } | undefined>)[key];
    if (typeof entity === "object") return entity.name ?? known.name(entity.id) ?? "";
  }
  if (event.type === "presence.update") return `${known.name(event.memberId) ?? ""} ${event.online ? "online" : "offline"}`;
  if ("reason" in event && event.reason) return event.reason;
  if ("aggregate" in event) return known.name(event.aggregate) ?? event.aggregate;
  return "";
}
