import type { Clock } from "../clock.js";
import type { ServerEvent } from "../generated/events.js";
import { isAfter } from "../position.js";
import type { End, Link, Sink } from "../transports/transport.js";
import type { ToMembers } from "./messages.js";
import type { Station } from "./station.js";
import { Stream, type StreamOwner } from "./stream.js";

/** How long a leader may say nothing to somebody who asks, in milliseconds. */
const ANSWER_MS = 3000;

/**
 * A link that is shared with other tabs. It begins with a stream of its own:
 * that asks the server who we are and what we may see, and makes up for what
 * was missed. When it is live, the leader is asked to let us in at the position
 * as of now, and the own stream is closed, or becomes everybody's.
 *
 * Whoever listens sees hello, replay, live each time it changes hands, as from a
 * server: what comes twice is dropped there, as ever.
 */
export class Member implements Link, StreamOwner {
  readonly id = crypto.randomUUID();
  /** Everything up to here was passed on. */
  position: string | null = null;
  rooms: readonly string[] = [];
  /** Its own, until another one serves it. */
  stream: Stream | null;
  /** Its own stream was live. */
  ready = false;
  #leader = ""; // whom it follows: what that one sends after #seq
  #seq = 0;
  #asked: string | null = null; // to be let in at this position
  #station: Station | undefined;
  #closed = false;
  #timer: unknown;

  constructor(
    open: (owner: StreamOwner) => Stream,
    /** The station for a member of the workspace, who is known with the hello. */
    private readonly stationOf: (memberId: string) => Station,
    private readonly clock: Clock,
    private readonly sink: Sink,
  ) {
    this.stream = open(this);
  }

  close(leaving: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#answered();
    this.stream?.close(leaving);
    this.#station?.leave(this, leaving);
  }

  check(): void {
    if (!this.ready || this.stream) return;
    if (!this.#leader) return this.join(); // whatever became of the former
    this.#expectAnswer();
    this.#station!.tell({ kind: "ping", from: this.id });
  }

  end(end: End): void {
    if (this.#closed) return;
    this.close(false);
    this.sink.end(end);
  }

  // Its own stream

  onAlive(): void {
    this.sink.alive();
  }

  onEvents(stream: Stream, events: readonly ServerEvent[]): void {
    const { hello } = stream;
    // Before anything is passed on: then a link that this one replaces isn't
    // the page's last one when it is closed.
    if (hello && !this.#station) (this.#station = this.stationOf(hello.member.id)).enter(this);
    if (hello && hello.member.id !== this.#station!.memberId) return this.end({ reason: "somebody else is signed in" });
    this.#pass(events);
    if (this.#closed || !stream.live) return;
    if (!this.ready) {
      this.ready = true;
      this.#station!.ready();
    } else if (!events.some(({ type }) => type === "system.heartbeat")) return;
    if (this.stream) this.join(); // at once, and if that fails, with every heartbeat
  }

  onEnd(_: Stream, end: End): void {
    this.end(end);
  }

  // The leader's

  /** From here on, what this leader sends after `seq`. Returns the stream that isn't needed anymore. */
  follow(leader: string, seq: number): Stream | null {
    this.#answered();
    const { stream } = this;
    this.stream = null;
    this.#leader = leader;
    this.#seq = seq;
    return stream;
  }

  /** The stream of a leader of this page is alive. */
  aliveWith(leader: string): void {
    if (leader === this.#leader) this.sink.alive();
  }

  /** Asks whoever leads to be let in. Until then, it doesn't follow anybody. */
  join(): void {
    const position = (this.#asked = this.position!);
    this.#leader = "";
    this.#expectAnswer();
    this.#station!.tell({ kind: "join", from: this.id, position, rooms: this.rooms });
  }

  on(message: ToMembers): void {
    if (this.#closed || !this.ready) return;
    if ("to" in message && message.to !== this.id) return;
    if (message.kind === "lead") {
      if (message.leader !== this.#leader) this.join();
      return;
    }
    // Whoever waits to be let in waits in vain, if it was for this one.
    if (message.kind === "over" && !this.#leader) return this.join();
    if (!("to" in message) && message.leader !== this.#leader) return;
    switch (message.kind) {
      case "over":
        return this.join();
      case "hold":
        return this.#answered();
      case "refuse":
        this.#answered();
        if (!this.stream) this.end({ reason: "the tab with the connection can't serve this one" });
        return;
      case "welcome":
        // A tab that was frozen may answer what was asked long ago.
        if (this.#leader || message.position !== this.#asked) return;
        this.follow(message.leader, message.seq)?.close(false);
        return this.#pass(message.events);
      case "events":
        if (message.seq !== ++this.#seq) return this.join(); // a message was lost
        return this.#pass(message.events);
      case "end":
        return this.end(message.end);
    }
  }

  /** By then somebody must have said something; else the leader is frozen, and this tab takes its place. */
  #expectAnswer(): void {
    this.#timer ??= this.clock.setTimeout(() => {
      this.#timer = undefined;
      this.#station!.steal();
    }, ANSWER_MS);
  }

  #answered(): void {
    this.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Passes on what a link with these rooms would get. */
  #pass(events: readonly ServerEvent[]): void {
    const mine = events.flatMap((event): ServerEvent[] => {
      if (event.type === "system.hello") {
        // The own stream has exactly the rooms of its URL.
        if (this.stream) this.rooms = event.rooms;
        else event = { ...event, rooms: event.rooms.filter((room) => this.rooms.includes(room)) };
      }
      const room = event.type === "system.unsubscribed" ? event.room : roomOf(event.channel);
      if (room && !this.rooms.includes(room)) return [];
      if (event.type === "system.unsubscribed") this.rooms = this.rooms.filter((id) => id !== room);
      if (event.id && (event.type === "system.resync" || isAfter(event.id, this.position))) this.position = event.id;
      return [event];
    });
    this.sink.alive();
    this.sink.receive(mine);
  }
}

function roomOf(channel: string | undefined): string | undefined {
  return channel?.startsWith("room:") ? channel.slice("room:".length) : undefined;
}
