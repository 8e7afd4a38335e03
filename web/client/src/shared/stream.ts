import type { Clock } from "../clock.js";
import { DEAD_AFTER_HEARTBEATS } from "../connection.js";
import type { ServerEvent, SystemHelloEvent } from "../generated/events.js";
import { covers, isAfter } from "../position.js";
import type { End, Link, OpenRequest, Transport } from "../transports/transport.js";

/** How many entries are kept for those who join. */
const KEPT = 512;

export interface StreamOwner {
  onAlive(stream: Stream): void;
  /** The events are noted already: what the stream tells is as of behind them. */
  onEvents(stream: Stream, events: readonly ServerEvent[]): void;
  onEnd(stream: Stream, end: End): void;
}

/**
 * A link to the server, and what it takes to let others join it as if it were
 * theirs from any place within what it has kept.
 */
export class Stream {
  /** `system.live` has come. */
  live = false;
  /** The newest hello. */
  hello: SystemHelloEvent | null = null;
  /** Everything up to here has come. */
  position: string | null = null;
  /** The rooms that it has. */
  readonly rooms = new Set<string>();
  #entries: ServerEvent[] = []; // all that there are after #floor
  #floor: string | null = null;
  #presence = new Set<string>();
  #heard: number;
  readonly #link: Link;
  readonly #timer: unknown;

  constructor(
    transport: Transport,
    request: OpenRequest,
    private readonly clock: Clock,
    openTimeoutMs: number,
    public owner: StreamOwner,
  ) {
    this.#heard = clock.now();
    this.#timer = clock.setTimeout(() => {
      if (!this.live) this.owner.onEnd(this, { reason: `not live within ${openTimeoutMs} ms` });
    }, openTimeoutMs);
    this.#link = transport.open(request, {
      alive: () => {
        this.#heard = clock.now();
        this.owner.onAlive(this);
      },
      receive: (events) => {
        for (const event of events) this.#note(event);
        this.owner.onEvents(this, events);
      },
      end: (end) => this.owner.onEnd(this, end),
    });
  }

  /** By the clock: a leader's timers may be late. */
  get dead(): boolean {
    return this.clock.now() - this.#heard > DEAD_AFTER_HEARTBEATS * (this.hello?.heartbeatMs ?? 0);
  }

  /** Whether somebody with these rooms can go on here, from this position. */
  covers(position: string, rooms: readonly string[]): boolean {
    return (
      this.live && this.#floor !== null && covers(position, this.#floor) && rooms.every((room) => this.rooms.has(room))
    );
  }

  /** What the server would send to somebody who connects with this position, which is covered. */
  since(position: string): ServerEvent[] {
    const hello = { ...this.hello!, id: position, resumed: true, presence: [...this.#presence], rooms: [...this.rooms] };
    return [hello, ...this.#entries.filter(({ id }) => isAfter(id!, position)), { type: "system.live" }];
  }

  close(leaving: boolean): void {
    this.clock.clearTimeout(this.#timer);
    this.#link.close(leaving);
  }

  #note(event: ServerEvent): void {
    switch (event.type) {
      case "system.hello":
        this.hello = event;
        this.#presence = new Set(event.presence);
        this.rooms.clear();
        for (const room of event.rooms) this.rooms.add(room);
        if (!event.resumed || this.#floor === null) this.#restart(event.id);
        break;
      case "system.resync":
        this.#restart(event.id);
        break;
      case "system.live":
        this.live = true;
        this.clock.clearTimeout(this.#timer);
        break;
      case "system.unsubscribed":
        this.rooms.delete(event.room);
        break;
      case "presence.update":
        if (event.online) this.#presence.add(event.memberId);
        else this.#presence.delete(event.memberId);
        break;
    }
    if (!event.id || !isAfter(event.id, this.position)) return;
    this.position = event.id;
    if (!event.channel) return;
    this.#entries.push(event);
    if (this.#entries.length > KEPT) this.#floor = this.#entries.shift()!.id!;
  }

  #restart(position: string): void {
    this.#floor = this.position = position;
    this.#entries = [];
  }
}
