import type { Environment, Signals } from "../../src/environment.js";
import { createRealtime, type RealtimeOptions, type ServerEvent, type Snapshot } from "../../src/index.js";
import type { ClientMessage, End, OpenRequest, Sink, Transport } from "../../src/transports/transport.js";
import { FakeClock, settled } from "./clock.js";

/** A link whose other end is the test. */
export class FakeLink {
  closed: "leaving" | "coming back" | null = null;
  readonly sent: ClientMessage[] = [];
  readonly url: URL;

  constructor(
    readonly transport: string,
    request: OpenRequest,
    readonly sink: Sink,
  ) {
    this.url = request.url("fake");
  }

  get position() {
    return this.url.searchParams.get("position");
  }

  get rooms() {
    return this.url.searchParams.get("rooms")?.split(",").filter(Boolean) ?? [];
  }

  receive(...events: unknown[]) {
    if (this.closed) return;
    this.sink.alive();
    this.sink.receive(events as ServerEvent[]);
  }

  hello(over: Record<string, unknown> = {}) {
    this.receive({
      type: "system.hello",
      id: this.position ?? "e-0",
      session: "s_1",
      workspace: { id: "ws_1", slug: "acme" },
      member: { id: "mem_1" },
      resumed: this.position !== null,
      presence: [],
      rooms: this.rooms,
      heartbeatMs: 25_000,
      catalog: "c",
      ...over,
    });
  }

  live(over: Record<string, unknown> = {}) {
    this.hello(over);
    this.receive({ type: "system.live" });
  }

  end(end: Partial<End> = {}) {
    if (!this.closed) this.sink.end({ reason: "test", ...end });
  }
}

/** A log entry. Rooms' entries are messages, the workspace's are members who join. */
export function entry(offset: number, channel = "workspace:ws_1", epoch = "e") {
  return {
    type: "workspace.member.joined",
    id: `${epoch}-${offset}`,
    channel,
    cause: `cause-${offset}`,
    at: "",
    member: {},
  };
}

export const snapshotAt = (position: string, presence: string[] = []) =>
  ({
    position,
    workspace: {},
    me: { memberId: "mem_1" },
    members: [],
    roles: [],
    teams: [],
    subscription: {},
    rooms: [],
    presence,
  }) as unknown as Snapshot;

export class FakeEnvironment implements Environment {
  isOnline = true;
  signals: Signals | null = null;
  online = () => this.isOnline;
  listen(signals: Signals) {
    this.signals = signals;
    return () => void (this.signals = null);
  }
}

/** A `Storage` as far as it is used. */
export class FakeStorage {
  readonly items = new Map<string, string>();
  getItem = (key: string) => this.items.get(key) ?? null;
  setItem = (key: string, value: string) => void this.items.set(key, value);
  removeItem = (key: string) => void this.items.delete(key);
}

/** A client on fake transports: `links` are those it opened, newest last. */
export function harness(options: Partial<RealtimeOptions> = {}, names = ["websocket", "sse", "poll"]) {
  const clock = new FakeClock();
  const environment = new FakeEnvironment();
  const storage = new FakeStorage();
  const links: FakeLink[] = [];
  const probes: string[] = [];
  const answers = {
    /** What the probe answers: a status, or "unreachable" or "hangs". */
    probe: 204 as number | "unreachable" | "hangs",
    headers: {} as Record<string, string>,
  };
  const transports = names.map((name): Transport => ({
    name,
    shareable: name !== "websocket",
    open(request, sink) {
      const link = new FakeLink(name, request, sink);
      links.push(link);
      return {
        ...(name === "websocket" && { send: (message: ClientMessage) => void link.sent.push(message) }),
        close: (leaving) => void (link.closed ??= leaving ? "leaving" : "coming back"),
      };
    },
  }));
  const fetch: typeof globalThis.fetch = async (input, init) => {
    probes.push(String(input));
    if (answers.probe === "unreachable") throw new TypeError("fetch failed");
    if (answers.probe === "hangs")
      return new Promise((_, reject) => init?.signal?.addEventListener("abort", () => reject(init.signal?.reason)));
    return new Response(null, { status: answers.probe, headers: answers.headers });
  };
  const rt = createRealtime({
    workspace: "acme",
    baseUrl: "http://orbit.test",
    position: "e-10",
    transports,
    fetch,
    storage,
    clock,
    environment,
    random: () => 0.5,
    ...options,
  });
  const statuses: string[] = [];
  const reasons: (string | undefined)[] = [];
  const delays: (number | undefined)[] = [];
  rt.onStatus((status, info) => {
    statuses.push(status);
    reasons.push(info.reason);
    delays.push(info.delayMs);
  });
  const events: ServerEvent[] = [];
  const replayed: boolean[] = [];
  rt.on("*", (event, meta) => {
    events.push(event);
    replayed.push(meta.replayed);
  });
  return {
    rt,
    clock,
    environment,
    storage,
    links,
    probes,
    answers,
    statuses,
    reasons,
    delays,
    events,
    replayed,
    get link() {
      return links.at(-1)!;
    },
    /** Offsets of the log entries delivered. */
    get offsets() {
      return events.filter((event) => event.id && event.channel).map((event) => Number(event.id!.split("-")[1]));
    },
    /** Started and live on the first transport. */
    async live() {
      rt.start();
      await settled();
      links.at(-1)!.live();
    },
  };
}
