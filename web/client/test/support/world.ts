import type { Clock } from "../../src/clock.js";
import type { ServerEvent, Snapshot } from "../../src/index.js";
import type { ClientMessage, OpenRequest, Sink, Transport } from "../../src/transports/transport.js";
import { entry, snapshotAt } from "./harness.js";

interface Entry {
  readonly offset: number;
  readonly channel: string;
}

/** How likely what goes wrong, each 0 to 1. */
export interface Faults {
  /** A link that never opens: an end without a word. */
  blocked: number;
  /** A link on which nothing ever comes. */
  hung: number;
  /** By batch: the link breaks before or after it. */
  drop: number;
  /** By batch: nothing comes from here on. */
  stall: number;
  /** By batch: an earlier one comes again. */
  repeat: number;
  /** By request: the probe or the snapshot fails. */
  http: number;
  /** By connection: the log was trimmed up to its head. */
  trim: number;
}

export const NO_FAULTS: Faults = { blocked: 0, hung: 0, drop: 0, stall: 0, repeat: 0, http: 0, trim: 0 };

/** A server as the protocol has it: one log, and sessions that read it. Its network is bad. */
export class World {
  readonly log: Entry[] = [];
  faults = NO_FAULTS;
  #epoch = "e1";
  #floor = 0; // entries up to here are gone
  #sessions = new Set<Session>();
  readonly online = new Set<string>();

  constructor(
    readonly clock: Clock,
    readonly random: () => number,
  ) {}

  get head(): number {
    return this.log.length;
  }

  id = (offset: number) => `${this.#epoch}-${offset}`;

  chance = (p: number) => this.random() < p;

  append(channel: string): void {
    this.log.push({ offset: this.head + 1, channel });
    this.#sessions.forEach((session) => session.wake());
  }

  heartbeat(): void {
    this.#sessions.forEach((session) => session.heartbeat());
  }

  /** Somebody comes or goes. */
  flip(memberId: string): void {
    const online = !this.online.delete(memberId);
    if (online) this.online.add(memberId);
    this.#sessions.forEach((session) => session.presence(memberId, online));
  }

  /** How many sessions there are. */
  get sessions(): number {
    return this.#sessions.size;
  }

  transport(name: string): Transport {
    return {
      name,
      shareable: name !== "websocket",
      open: (request, sink) => {
        const session = new Session(this, request, sink, () => this.#sessions.delete(session));
        this.#sessions.add(session);
        return {
          ...(name === "websocket" && { send: (message: ClientMessage) => session.message(message) }),
          close: () => session.close(),
        };
      },
    };
  }

  /** The probe, with an answer that is as unreliable as all the rest. */
  fetch: typeof globalThis.fetch = async () => {
    if (!this.chance(this.faults.http)) return new Response(null, { status: 204 });
    if (this.chance(0.5)) throw new TypeError("fetch failed");
    return new Response(null, { status: 503 });
  };

  snapshot = async (): Promise<Snapshot> => {
    const snapshot = snapshotAt(this.id(this.head));
    await new Promise<void>((resolve) => this.clock.setTimeout(resolve, this.random() * 2000));
    if (this.chance(this.faults.http)) throw new TypeError("fetch failed");
    return snapshot;
  };

  /** Where a session can begin, or why not. */
  resolve(position: string | null): { at: number; resync?: string } {
    if (position === null) return { at: this.head };
    const [epoch, offset] = position.split("-");
    if (this.chance(this.faults.trim)) this.#floor = this.head;
    if (epoch !== this.#epoch) return { at: this.head, resync: "epoch_changed" };
    if (Number(offset) < this.#floor) return { at: this.head, resync: "position_expired" };
    return { at: Number(offset) };
  }

  /** History is lost: the same entries have another epoch from now on. */
  newEpoch(): void {
    this.#epoch = `e${Number(this.#epoch.slice(1)) + 1}`;
    [...this.#sessions].forEach((session) => session.break());
  }
}

/** One session: hello, replay, live, then what happens; rooms' backfills right behind their answers. */
class Session {
  #at: number;
  #rooms: Set<string>;
  #batches: unknown[][] = []; // on their way
  #before: unknown[][] = [];
  #arriving = false;
  #open = true;
  #silent: boolean;
  #busyUntil = 0;

  constructor(
    private readonly world: World,
    request: OpenRequest,
    private readonly sink: Sink,
    private readonly gone: () => void,
  ) {
    const query = request.url("fake").searchParams;
    const position = query.get("position");
    const rooms = query.get("rooms")?.split(",").filter(Boolean) ?? [];
    const { at, resync } = world.resolve(position);
    this.#at = at;
    this.#rooms = new Set(rooms.map((room) => `room:${room}`));
    this.#silent = world.chance(world.faults.hung);
    if (world.chance(world.faults.blocked)) {
      this.#silent = true;
      world.clock.setTimeout(() => this.break(), world.random() * 500);
      return;
    }
    const resumed = position !== null && !resync;

    const hello = { member: { id: "mem_1" }, presence: [...world.online], heartbeatMs: 2000 };
    this.#put([{ type: "system.hello", id: world.id(at), resumed, rooms, ...hello }]);
    if (resync) this.#put([{ type: "system.resync", reason: resync, id: world.id(at) }]);
    this.wake();
    this.#put([{ type: "system.live" }]);
  }

  wake(): void {
    const events = this.#read(
      this.#at,
      this.world.head,
      (channel) => !channel.startsWith("room:") || this.#rooms.has(channel),
    );
    this.#at = this.world.head;
    this.#put(events);
  }

  presence(memberId: string, online: boolean): void {
    this.#put([{ type: "presence.update", channel: "workspace:ws_1", memberId, online }]);
  }

  heartbeat(): void {
    this.#put([{ type: "system.heartbeat", id: this.world.id(this.#at) }]);
  }

  message(message: ClientMessage): void {
    // A socket keeps the order of messages.
    this.#busyUntil = Math.max(this.#busyUntil, this.world.clock.now()) + this.world.random() * 200;
    this.world.clock.setTimeout(() => this.#open && this.#answer(message), this.#busyUntil - this.world.clock.now());
  }

  #answer({ type, room, ref, ...rest }: ClientMessage): void {
    const channel = `room:${room}`;
    if (type === "unsubscribe") {
      this.#rooms.delete(channel);
      return this.#put([{ type: "system.unsubscribed", room, ref }]);
    }
    this.#rooms.add(channel);
    this.#put([{ type: "system.subscribed", room, ref }]);
    if (!("position" in rest) || !rest.position) return;
    const { at, resync } = this.world.resolve(rest.position);
    if (resync) return this.#put([{ type: "system.resync", reason: resync, id: this.world.id(this.#at) }]);
    const backfill = this.#read(at, this.#at, (name) => name === channel);
    // In pieces, and as the server does it: a heartbeat may come between them.
    while (backfill.length > 0) {
      this.#put(backfill.splice(0, 2));
      if (this.world.chance(0.3)) this.heartbeat();
    }
  }

  close(): void {
    this.#open = false;
    this.gone();
  }

  break(): void {
    if (!this.#open) return;
    this.close();
    this.sink.end({ reason: "broken" });
  }

  #read(after: number, upTo: number, wanted: (channel: string) => boolean): unknown[] {
    return this.world.log
      .slice(after, upTo)
      .filter(({ channel }) => wanted(channel))
      .map(({ offset, channel }) => ({ ...entry(offset, channel), id: this.world.id(offset) }));
  }

  /** Puts events on their way. What is on its way stays in order. */
  #put(events: unknown[]): void {
    if (events.length === 0) return;
    this.#batches.push(events);
    if (this.#arriving) return;
    this.#arriving = true;
    this.world.clock.setTimeout(() => this.#arrive(), this.world.random() * 100);
  }

  #arrive(): void {
    this.#arriving = false;
    const { faults } = this.world;
    this.#silent ||= this.world.chance(faults.stall);
    if (!this.#open || this.#silent) return;
    if (this.world.chance(faults.drop)) return this.break();
    let batches = this.#batches.splice(0);
    if (this.#before.length > 0 && this.world.chance(faults.repeat))
      batches = [this.#before[Math.floor(this.world.random() * this.#before.length)]!, ...batches];
    for (const batch of batches) {
      if (!this.#open) return;
      if (batch.every((event) => (event as ServerEvent).channel && (event as ServerEvent).id)) this.#before.push(batch);
      this.sink.alive();
      this.sink.receive(batch as ServerEvent[]);
    }
    if (this.world.chance(faults.drop)) this.break();
  }
}
