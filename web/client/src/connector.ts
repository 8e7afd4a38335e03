import type { Clock } from "./clock.js";
import { Connection, type ConnectionOwner } from "./connection.js";
import type { Environment } from "./environment.js";
import type { ServerEvent, SystemHelloEvent, SystemResyncEvent } from "./generated/events.js";
import { within } from "./http.js";
import type { Inbox } from "./inbox.js";
import { report } from "./listeners.js";
import type { Preference } from "./preference.js";
import type { Rooms } from "./rooms.js";
import type { Snapshot } from "./snapshot.js";
import { StatusMachine, type StatusInfo, type Step } from "./status.js";
import { Subscriptions } from "./subscriptions.js";
import { endOf } from "./transports/end.js";
import type { End, OpenRequest, Tools, Transport } from "./transports/transport.js";
import { explain, probe, type Verdict } from "./verdict.js";

/** Bounds of the backoff, in milliseconds: what the random delay is drawn below. */
const MIN_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 20_000;
/** Longest delay taken from the server, in milliseconds. */
const MAX_DELAY_MS = 10 * 60_000;
/** A connection that was live for so long counts as a success, in milliseconds. */
const STABLE_MS = 10_000;
/** How often in a row a transport may fail that has worked before. One that hasn't may fail once. */
const MAX_FAILURES = 3;
/** How long a snapshot may take, in milliseconds. */
const SNAPSHOT_MS = 30_000;
/** Changes of rooms within this many milliseconds go together: a page opens many at once. */
const ROOMS_MS = 25;

export interface ConnectorOptions extends Tools {
  readonly transports: readonly Transport[];
  readonly openTimeoutMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly environment: Environment;
  readonly preference: Preference;
  /** `/v1/<path>` with its query. */
  url(path: string, query: Record<string, string>): URL;
  /** Null: nobody wants a snapshot. */
  snapshot(): ((signal: AbortSignal) => Promise<Snapshot>) | null;
  onSignIn: (() => unknown) | undefined;
  changed(status: StatusMachine["status"], info: StatusInfo): void;
  /** A snapshot is about to be fetched; call the result when it is applied. */
  covering(): () => void;
}

/**
 * Keeps one connection up: opens it, finds out why it failed, waits, tries
 * another transport, and replaces it by a better one without a gap.
 *
 * Replacing is one mechanism for everything: a candidate is opened beside the
 * current connection, at the position as of now. When it is live it takes over;
 * what it repeats, the inbox drops.
 */
export class Connector implements ConnectionOwner {
  readonly machine: StatusMachine;
  #current: Connection | null = null;
  #candidate: Connection | null = null;
  #held: ServerEvent[] = []; // the candidate's, until it takes over
  #index = 0; // of the transport in use
  #attempt = 0;
  #failures: number[] = []; // by transport, in a row
  #proven = new Set<Transport>();
  #asked = false; // for signing in, since we were live
  #member: string | undefined; // who was signed in last
  #hidden = false;
  #wakeable = false;
  #work = new AbortController(); // whatever is awaited for the present connection
  #waiting: unknown;
  #upgrading: unknown;
  #syncing: unknown;
  #unlisten = () => {};

  constructor(
    private readonly o: ConnectorOptions,
    private readonly inbox: Inbox,
    private readonly rooms: Rooms,
  ) {
    this.machine = new StatusMachine((status, info) => o.changed(status, info));
  }

  get transport(): string | null {
    return this.#current?.transport.name ?? null;
  }

  start(): void {
    const { status } = this.machine;
    if (status !== "idle" && status !== "stopped") return;
    const kept = this.o.preference.recall();
    this.#index = Math.max(
      0,
      this.o.transports.findIndex(({ name }) => name === kept?.name),
    );
    this.#attempt = 0;
    this.#failures = [];
    this.#asked = this.#hidden = false;
    this.#unlisten = this.o.environment.listen({
      online: () => this.#online(),
      wake: () => this.#wake(),
      hide: () => this.#hide(),
      show: () => this.#show(),
    });
    void this.#begin();
  }

  stop(reason: string): void {
    this.#drop(true);
    this.#unlisten();
    this.#unlisten = () => {};
    this.#move("stop", { reason });
  }

  /** The rooms wanted have changed. */
  roomsChanged(inMs = ROOMS_MS): void {
    if (this.#syncing || !this.#current?.live) return; // when it is live, it is done anyway
    this.#syncing = this.o.clock.setTimeout(() => {
      this.#syncing = undefined;
      this.#syncRooms();
    }, inMs);
  }

  // Opening

  async #begin(): Promise<void> {
    const signal = this.#drop(false);
    this.#move("open", { transport: this.#next.name });
    if (signal.aborted) return; // a listener closed us
    if (this.inbox.gap || this.inbox.position === null) {
      if (!(await this.#hydrate(signal)) || signal.aborted) return;
    }
    this.#current = this.#connect(this.#next, (connection) => {
      this.#current = connection;
      this.inbox.begin(connection.from, connection.subscriptions.initial);
    });
  }

  get #next(): Transport {
    return this.o.transports[this.#index]!;
  }

  #connect(transport: Transport, before: (connection: Connection) => void): Connection {
    const { clock, openTimeoutMs } = this.o;
    const subscriptions = new Subscriptions(this.rooms);
    const connection = new Connection(transport, this.inbox.position, subscriptions, clock, openTimeoutMs, this);
    before(connection);
    connection.open(this.#request(connection));
    return connection;
  }

  #request({ from, subscriptions }: Connection): OpenRequest {
    const query: Record<string, string> = {};
    if (from !== null) query.position = from;
    if (subscriptions.initial.length > 0) query.rooms = subscriptions.initial.map(({ id }) => id).join(",");
    const { fetch, WebSocket } = this.o;
    return { fetch, WebSocket, url: (path, extra) => this.o.url(path, { ...query, ...extra }) };
  }

  /** Fetches and applies a snapshot, if somebody wants one. False: that failed, and is being dealt with. */
  async #hydrate(signal: AbortSignal): Promise<boolean> {
    const fetchSnapshot = this.o.snapshot();
    if (!fetchSnapshot) return true;
    const covered = this.o.covering();
    try {
      const snapshot = await within(this.o.clock, SNAPSHOT_MS, signal, fetchSnapshot);
      if (signal.aborted) return false;
      const current = this.#current;
      const continues = this.inbox.stage(snapshot);
      covered();
      if (signal.aborted) return false; // a listener closed us
      if (current && !continues) void this.#begin();
      else if (current?.live) this.#upToDate();
      return true;
    } catch (error) {
      if (!signal.aborted) void this.#failed(null, endOf(error));
      return false;
    }
  }

  // Events

  onEvent(connection: Connection, event: ServerEvent): void {
    if (connection !== this.#candidate) return this.#process(connection, event);
    this.#held.push(event);
    if (event.type === "system.live") this.#takeOver(connection);
  }

  #process(connection: Connection, event: ServerEvent): void {
    const stranger = event.type === "system.hello" && this.#isStranger(event);
    if (event.type === "system.hello") {
      if (this.inbox.position !== null && !this.inbox.holding) this.inbox.gap = !event.resumed;
      if (this.machine.status === "connecting") this.#move("sync");
      if (connection !== this.#current) return; // a listener closed it
    }
    const again = connection.subscriptions.answer(event);
    this.inbox.accept(event, connection.replaying, event.channel && connection.subscriptions.room(event.channel));
    if (connection !== this.#current) return; // a listener closed it
    if (again) this.roomsChanged(this.#backoff());
    if (event.type === "system.live") this.#onLive(connection);
    if (event.type === "system.resync") this.#resync(event);
    if (stranger) this.#resync({ type: "system.resync", reason: "position_invalid", id: event.id! });
  }

  /** Somebody else has signed in: what one may see says nothing about what the other may. */
  #isStranger({ member }: SystemHelloEvent): boolean {
    const before = this.#member;
    this.#member = member.id;
    return before !== undefined && before !== member.id;
  }

  #onLive(connection: Connection): void {
    this.#asked = false;
    this.#proven.add(connection.transport);
    if (this.#index === 0) this.o.preference.forget();
    else this.#upgradeLater();
    if (!this.inbox.holding) this.#upToDate();
  }

  #upToDate(): void {
    this.#move("live");
    this.#syncRooms();
  }

  #resync(event: SystemResyncEvent): void {
    const hold = this.o.snapshot() !== null;
    this.inbox.resync(event, hold);
    if (!hold) return;
    this.#work.abort();
    const { signal } = (this.#work = new AbortController());
    this.#dismiss();
    this.#move("sync");
    void this.#hydrate(signal);
  }

  // Replacing

  #syncRooms(): void {
    const current = this.#current;
    if (current?.live && !this.inbox.gap && !current.syncRooms()) this.#openBeside(this.#index);
  }

  #openBeside(index: number): void {
    this.#dismiss();
    const transport = this.o.transports[index]!;
    this.#connect(transport, (connection) => (this.#candidate = connection));
  }

  #dismiss(): void {
    this.#candidate?.close(false);
    this.#candidate = null;
    this.#held = [];
  }

  #takeOver(candidate: Connection): void {
    const held = this.#held;
    const old = this.#current;
    this.#candidate = null;
    this.#held = [];
    this.#current = candidate;
    this.#index = this.o.transports.indexOf(candidate.transport);
    this.inbox.begin(candidate.from, candidate.subscriptions.initial);
    old?.close(false);
    for (const event of held) if (this.#current === candidate) this.#process(candidate, event);
  }

  /** A candidate came to nothing. The current connection goes on as if nothing had been. */
  #candidateEnded({ transport }: Connection): void {
    this.#dismiss();
    const index = this.o.transports.indexOf(transport);
    if (index + 1 < this.#index) return this.#openBeside(index + 1);
    if (this.#index > 0) {
      this.o.preference.forget();
      this.#upgradeLater();
    }
    // Only a candidate could have brought the rooms: now it takes a restart.
    if (this.#current && !this.#current.syncRooms()) void this.#begin();
  }

  /** Keeps the fallback for a while, then tries the better transports beside it. */
  #upgradeLater(): void {
    const { preference, clock } = this.o;
    const { name } = this.#next;
    const kept = preference.recall();
    const until = kept?.name === name ? kept.until : preference.remember(name);
    clock.clearTimeout(this.#upgrading);
    this.#upgrading = clock.setTimeout(() => this.#upgrade(), until - clock.now());
  }

  #upgrade(): void {
    if (this.#current?.live && !this.inbox.gap) this.#openBeside(0);
  }

  // Ending

  onEnd(connection: Connection, end: End): void {
    if (connection === this.#candidate) this.#candidateEnded(connection);
    else if (connection === this.#current) void this.#failed(connection, end);
  }

  async #failed(connection: Connection | null, end: End): Promise<void> {
    const signal = this.#drop(false);
    const live = connection?.live ?? false;
    if (live && this.o.clock.now() - connection!.liveAt >= STABLE_MS) {
      this.#attempt = 0;
      this.#failures[this.#index] = -1; // this end is no failure
    }
    const info = { transport: this.#next.name, reason: end.reason };
    this.#move("wait", info);
    const verdict = explain(end, live) ?? (await this.#investigate(connection, signal));
    if (signal.aborted) return;
    switch (verdict.then) {
      case "fallback":
        return this.#fallback(info);
      case "retry":
        return this.#retry(verdict, info);
      case "signIn":
        return this.#signIn(signal);
      case "stop":
        return this.stop(end.reason);
    }
  }

  /** The end said nothing: is it the server, the network, or this transport in this network? */
  async #investigate(connection: Connection | null, signal: AbortSignal): Promise<Verdict> {
    const failures = (this.#failures[this.#index] ?? 0) + (connection ? 1 : 0);
    this.#failures[this.#index] = failures;
    // One that isn't even live again is sooner taken for blocked than one that breaks off.
    const limit = this.#proven.has(this.#next) ? (connection?.live ? MAX_FAILURES : MAX_FAILURES - 1) : 1;
    if (connection?.live && failures < limit) return { then: "retry" };
    try {
      const { clock, openTimeoutMs, fetch } = this.o;
      const url = this.o.url("probe", {});
      const verdict = await within(clock, openTimeoutMs, signal, (aborted) => probe(url, fetch, aborted));
      const blocked = verdict.then === "fallback" && connection && failures >= limit;
      return verdict.then === "fallback" && !blocked ? { then: "retry", soon: true } : verdict;
    } catch {
      return { then: "retry" };
    }
  }

  #fallback(info: StatusInfo): void {
    this.#failures[this.#index] = 0;
    this.#index = (this.#index + 1) % this.o.transports.length;
    if (this.#index > 0) void this.#begin();
    else this.#retry({ then: "retry" }, info); // none works: from the top, later
  }

  #retry(verdict: Verdict & { then: "retry" }, info: StatusInfo): void {
    const backoff = verdict.soon ? this.o.random() * MIN_BACKOFF_MS : this.#backoff();
    const delayMs = Math.min(MAX_DELAY_MS, verdict.delayMs ?? (verdict.atLeastMs ?? 0) + backoff);
    this.#wakeable = verdict.delayMs === undefined && verdict.atLeastMs === undefined;
    this.#waiting = this.o.clock.setTimeout(() => void this.#begin(), delayMs);
    // Browsers have been wrong about being offline: the timer runs all the same.
    this.#move(this.o.environment.online() ? "wait" : "offline", { ...info, delayMs });
  }

  /** Full jitter: a thousand tabs that lost the same server don't come back at once. */
  #backoff(): number {
    return this.o.random() * Math.min(MAX_BACKOFF_MS, MIN_BACKOFF_MS * 2 ** this.#attempt++);
  }

  async #signIn(signal: AbortSignal): Promise<void> {
    const reason = "unauthenticated";
    const ask = this.#asked ? undefined : this.o.onSignIn;
    this.#asked = true;
    let signedIn: unknown = false;
    if (ask) {
      this.#move("wait", { reason });
      if (signal.aborted) return; // a listener closed us
      signedIn = await new Promise((resolve) => resolve(ask())).catch(report);
    }
    if (signal.aborted) return;
    if (signedIn === true) void this.#begin();
    else this.stop(reason);
  }

  // Signals of the surroundings

  /** The network may be another one: what the old one blocked says nothing about it. */
  #online(): void {
    if (this.#current?.live && !this.inbox.gap) this.#openBeside(0);
    else this.#wake();
  }

  #wake(): void {
    this.#current?.check();
    if (this.#waiting !== undefined && this.#wakeable) void this.#begin();
  }

  #hide(): void {
    this.#hidden = true;
    this.#drop(true);
    this.#move("wait", { reason: "the page is hidden for good or frozen" });
  }

  #show(): void {
    if (!this.#hidden) return this.#wake();
    this.#hidden = false;
    void this.#begin();
  }

  /** Lets go of all that is under way. The signal is for what comes next. */
  #drop(leaving: boolean): AbortSignal {
    const { clock } = this.o;
    this.#work.abort();
    this.#work = new AbortController();
    for (const timer of [this.#waiting, this.#upgrading, this.#syncing]) clock.clearTimeout(timer);
    this.#waiting = this.#syncing = undefined;
    this.#current?.close(leaving);
    this.#current = null;
    this.#dismiss();
    this.inbox.release();
    return this.#work.signal;
  }

  #move(step: Step, info: Partial<StatusInfo> = {}): void {
    this.machine.move(step, { transport: this.transport, ...info });
  }
}
