import type { ServerEvent } from "../generated/events.js";
import { covers, isAfter } from "../position.js";
import { MAX_ROOMS } from "../rooms.js";
import type { End } from "../transports/transport.js";
import type { Member } from "./member.js";
import { isMessage, type Message, type ToLeader, type ToMembers } from "./messages.js";
import type { Stream, StreamOwner } from "./stream.js";
import type { TabChannel, Tabs } from "./tabs.js";

/** Codes from here on are the server's own word. Others may be the network's, which another tab may overcome. */
const PRIVATE_CODES = 4000;

type Join = ToLeader & { kind: "join" };

/**
 * One page's place among the tabs that share a connection: its members here, the
 * channel to the others, and the lock. Whoever holds the lock is the leader: the
 * leader's stream is for all, and is passed on as it comes.
 *
 * The lock passes on by itself when a tab closes or crashes. The next leader
 * opens a stream where its own member was; the others join it at their places.
 * Nothing depends on there being one leader only: while two think so, everybody
 * follows one of them, and what comes twice is dropped as ever.
 */
export class Station implements StreamOwner {
  readonly #channel: TabChannel;
  #closed = false;
  #members = new Set<Member>(); // of this page
  #lock: AbortController | null = null; // held or asked for; aborted: not anymore
  // Of the leader:
  #leading = false;
  #id = ""; // another one with each stream that doesn't go on for those who follow
  #stream: Stream | null = null;
  #seq = 0;
  #rooms = new Map<string, readonly string[]>(); // of everybody, by member
  #rolled = false; // called the roll since the last heartbeat
  #pending = new Map<string, Join>(); // those whom the stream doesn't cover
  #wider: { readonly stream: Stream; readonly joins: Join[]; readonly held: ServerEvent[] } | null = null;

  constructor(
    private readonly name: string,
    /** The member of the workspace. Other people, other stations. */
    readonly memberId: string,
    private readonly tabs: Tabs,
    /** Opens a stream like those of the members, with these rooms from this position. */
    private readonly openStream: (owner: StreamOwner, position: string, rooms: Iterable<string>) => Stream,
    private readonly emptied: () => void,
  ) {
    this.#channel = tabs.openChannel(name);
    this.#channel.onmessage = ({ data }) => {
      if (!this.#closed && isMessage(data)) this.#receive(data);
    };
  }

  // Members of this page

  enter(member: Member): void {
    this.#members.add(member);
  }

  /** A member is ready to join, or to lead. */
  ready(): void {
    if (!this.#lock) this.#acquire(false);
    else if (this.#leading && !this.#stream) this.#lead();
  }

  leave(member: Member, leaving: boolean): void {
    if (!this.#members.delete(member)) return;
    this.tell({ kind: "leave", from: member.id });
    if (this.#members.size > 0) return;
    // Another tab goes on: presence mustn't flicker.
    this.#abdicate(leaving && this.#rooms.size === 0);
    this.#closed = true;
    this.#channel.close();
    this.emptied();
  }

  /** Says something to the leader, which may be here. */
  tell(message: ToLeader): void {
    if (this.#leading) this.#receive(message);
    else this.#post(message);
  }

  // The lock

  /** The leader doesn't answer: takes its place. */
  steal(): void {
    if (!this.#leading) this.#acquire(true);
  }

  #acquire(steal: boolean): void {
    this.#lock?.abort();
    const lock = (this.#lock = new AbortController());
    const { signal } = lock;
    let held = false;
    this.tabs.locks
      .request(this.name, steal ? { steal } : { signal }, () => {
        if (signal.aborted) return;
        held = true;
        this.#leading = true;
        this.#lead();
        return new Promise((release) => signal.addEventListener("abort", () => release()));
      })
      .catch(() => {
        // Never held: there are no locks here, and everybody goes on alone.
        if (held && !signal.aborted) this.#stolen();
      });
  }

  /** Somebody took us for dead. From now on this tab follows. */
  #stolen(): void {
    this.#abdicate(false);
    this.#acquire(false);
    this.#toMembers({ kind: "over", leader: this.#id });
  }

  #abdicate(leaving: boolean): void {
    this.#lock?.abort();
    this.#leading = false;
    this.#stream?.close(leaving);
    this.#wider?.stream.close(leaving);
    this.#stream = this.#wider = null;
    this.#rooms.clear();
    this.#pending.clear();
  }

  // Leading

  /** Makes a member's own stream everybody's, or opens one where the members of this page were. */
  #lead(): void {
    const ready = [...this.#members].filter((member) => member.ready);
    const host = ready.find(({ stream }) => stream?.live);
    const hosted = host ? [host] : ready;
    if (hosted.length === 0) return; // until one is
    this.#newTerm();
    const streams = hosted.map((member) => {
      this.#rooms.set(member.id, member.rooms);
      return member.follow(this.#id, this.#seq);
    });
    const position = hosted.map((member) => member.position!).reduce(older);
    this.#stream = streams[0] ?? this.openStream(this, position, this.#allRooms());
    this.#stream.owner = this;
    if (this.#stream.live) this.#announce();
  }

  /** Nobody follows anymore: whoever will joins anew, and says which rooms. */
  #newTerm(): void {
    this.#id = crypto.randomUUID();
    this.#seq = 0;
    this.#rooms.clear();
  }

  #announce(): void {
    this.#toMembers({ kind: "lead", leader: this.#id });
    const joins = [...this.#pending.values()];
    this.#pending.clear();
    for (const join of joins) this.#join(join);
  }

  #join(join: Join): void {
    this.#rooms.set(join.from, join.rooms);
    if (this.#stream?.dead) return this.#fail({ reason: "nothing came for too long" });
    if (this.#stream?.covers(join.position, join.rooms)) return this.#welcome(join);
    this.#toMembers({ kind: "hold", to: join.from });
    this.#pending.set(join.from, join);
    if (this.#stream?.live && !this.#wider) this.#widen(this.#stream);
  }

  #welcome({ from, position }: Join): void {
    this.#pending.delete(from);
    const events = this.#stream!.since(position);
    this.#toMembers({ kind: "welcome", to: from, position, leader: this.#id, seq: this.#seq, events });
  }

  /** Opens a stream beside ours, with everybody's rooms, from where the last of them is. */
  #widen(stream: Stream): void {
    const joins = [...this.#pending.values()];
    const position = joins.map((join) => join.position).reduce(older, stream.position!);
    const rooms = this.#allRooms();
    const sameLog = joins.every((join) => covers(join.position, position));
    if (!sameLog || !covers(stream.position!, position) || rooms.size > MAX_ROOMS) {
      for (const { from } of joins) this.#refuse(from);
      if (rooms.size > MAX_ROOMS) this.#callRoll();
      return;
    }
    this.#wider = { stream: this.openStream(this, position, rooms), joins, held: [] };
  }

  /** Tabs that crashed didn't take their rooms along. */
  #callRoll(): void {
    if (this.#rolled) return;
    this.#rolled = true;
    this.#newTerm();
    this.#announce();
  }

  #refuse(from: string): void {
    this.#pending.delete(from);
    this.#rooms.delete(from);
    this.#toMembers({ kind: "refuse", to: from });
  }

  #allRooms(): Set<string> {
    return new Set([...this.#rooms.values()].flat());
  }

  // The leader's streams

  onAlive(stream: Stream): void {
    if (stream === this.#stream) for (const member of this.#members) member.aliveWith(this.#id);
  }

  onEvents(stream: Stream, events: readonly ServerEvent[]): void {
    if (stream.hello && stream.hello.member.id !== this.memberId)
      return this.onEnd(stream, { reason: "somebody else is signed in" });
    if (stream === this.#stream) {
      this.#passOn(events);
      if (events.some(({ type }) => type === "system.heartbeat")) this.#rolled = false;
      if (events.some(({ type }) => type === "system.live")) this.#announce();
    } else if (stream === this.#wider?.stream) {
      this.#wider.held.push(...events);
      if (!stream.hello?.resumed) this.onEnd(stream, { reason: "it can't be resumed" });
      else if (stream.live) this.#widened();
    }
  }

  onEnd(stream: Stream, end: End): void {
    stream.close(false);
    if (stream === this.#stream) this.#fail(end);
    else if (stream === this.#wider?.stream) {
      const { joins } = this.#wider;
      this.#wider = null;
      for (const { from } of joins) this.#refuse(from);
    }
  }

  #widened(): void {
    const { stream, joins, held } = this.#wider!;
    this.#wider = null;
    this.#stream!.close(false);
    this.#stream = stream;
    this.#passOn(held);
    // Whatever room they lack is one that they may not see anymore.
    for (const join of joins) if (this.#pending.get(join.from) === join) this.#welcome(join);
    for (const join of [...this.#pending.values()]) this.#join(join);
  }

  #passOn(events: readonly ServerEvent[]): void {
    this.#toMembers({ kind: "events", leader: this.#id, seq: ++this.#seq, events });
  }

  /** The stream is over. What the server said is for all; else another tab may have more luck. */
  #fail(end: End): void {
    this.#stream!.close(false);
    this.#wider?.stream.close(false);
    this.#stream = this.#wider = null;
    if (end.status || (end.code ?? 0) >= PRIVATE_CODES) this.#toMembers({ kind: "end", leader: this.#id, end });
    for (const member of [...this.#members]) if (member.ready && !member.stream) member.end(end);
    if (this.#leading) this.#lead();
  }

  // Messages

  #toMembers(message: ToMembers): void {
    const members = [...this.#members];
    if (!("to" in message && members.some(({ id }) => id === message.to))) this.#post(message);
    for (const member of members) member.on(message);
  }

  #post(message: Message): void {
    if (!this.#closed) this.#channel.postMessage(message); // a listener may close the page's last client
  }

  #receive(message: Message): void {
    if (message.kind === "join") {
      if (this.#leading) this.#join(message);
    } else if (message.kind === "ping") {
      if (this.#stream?.dead) this.#fail({ reason: "nothing came for too long" });
      else if (this.#leading) this.#toMembers({ kind: "hold", to: message.from });
    } else if (message.kind === "leave") {
      this.#rooms.delete(message.from);
      this.#pending.delete(message.from);
    } else {
      for (const member of [...this.#members]) member.on(message);
    }
  }
}

/** The older of two positions; of different logs, the first. */
const older = (a: string, b: string) => (isAfter(a, b) ? b : a);
