import type { Clock } from "./clock.js";
import type { ServerEvent } from "./generated/events.js";
import type { Subscriptions } from "./subscriptions.js";
import type { ClientMessage, End, Link, OpenRequest, Transport } from "./transports/transport.js";

/** Silence longer than this many heartbeats means that the link is dead. */
export const DEAD_AFTER_HEARTBEATS = 1.5;

export interface ConnectionOwner {
  onEvent(connection: Connection, event: ServerEvent): void;
  /** Told once, and not after `close`. */
  onEnd(connection: Connection, end: End): void;
}

/** One link with its liveness: it ends by itself when nothing comes for too long. */
export class Connection {
  /** `system.live` was seen: only then has the transport proven that it works. */
  live = false;
  /** When that was. */
  liveAt = 0;
  /** Between a hello and its `system.live`. A poll's session can begin anew within one connection. */
  replaying = true;
  #link: Link | null = null;
  #closed = false;
  #timer: unknown;
  #heard = 0;
  #heartbeatMs = 25_000; // the protocol's default, until hello
  #limitMs: number;

  constructor(
    readonly transport: Transport,
    /** The position it begins at; `null`: from now on. */
    readonly from: string | null,
    readonly subscriptions: Subscriptions,
    private readonly clock: Clock,
    openTimeoutMs: number,
    private readonly owner: ConnectionOwner,
  ) {
    this.#limitMs = openTimeoutMs;
  }

  open(request: OpenRequest): void {
    this.#alive();
    this.#watch();
    this.#link = this.transport.open(request, {
      alive: () => this.#alive(),
      receive: (events) => events.forEach((event) => this.#receive(event)),
      end: (end) => this.#end(end),
    });
  }

  /** Brings the rooms up to date; false when only another connection can. */
  syncRooms(): boolean {
    const link = this.#link;
    return this.subscriptions.sync(link?.send && ((message: ClientMessage) => link.send?.(message)));
  }

  /**
   * Ends a link that was silent for too long. By the clock, not by the timer:
   * timers of a hidden tab or a sleeping machine are late.
   */
  check(): void {
    if (this.#closed) return;
    const silence = this.clock.now() - this.#heard;
    if (silence < this.#limitMs) {
      this.#link?.check?.();
      return this.#watch();
    }
    this.close(false);
    this.owner.onEnd(this, { reason: `nothing came for ${silence} ms` });
  }

  close(leaving: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    this.clock.clearTimeout(this.#timer);
    this.#link?.close(leaving);
  }

  #receive(event: ServerEvent): void {
    if (this.#closed) return;
    if (event.type === "system.hello") {
      this.replaying = true;
      this.#heartbeatMs = event.heartbeatMs ?? this.#heartbeatMs;
    }
    if (event.type === "system.live") this.#proven();
    this.#alive();
    this.owner.onEvent(this, event);
    // The last event, and on some transports nothing else tells the end.
    if (event.type === "system.goodbye") {
      const { code, reason, reconnect, delayMs } = event;
      this.#end({ code, reason, reconnect, delayMs });
    }
  }

  #proven(): void {
    this.replaying = false;
    if (this.live) return;
    this.live = true;
    this.liveAt = this.clock.now();
    this.#limitMs = DEAD_AFTER_HEARTBEATS * this.#heartbeatMs;
    this.#watch();
  }

  #alive(): void {
    this.#heard = this.clock.now();
  }

  #watch(): void {
    this.clock.clearTimeout(this.#timer);
    const left = this.#heard + this.#limitMs - this.clock.now();
    this.#timer = this.clock.setTimeout(() => this.check(), left);
  }

  #end(end: End): void {
    if (this.#closed) return;
    this.close(false);
    this.owner.onEnd(this, end);
  }
}
