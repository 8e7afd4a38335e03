import { Causes, StaleError } from "./causes.js";
import { systemClock, type Clock } from "./clock.js";
import { Connector } from "./connector.js";
import { browserEnvironment, type Environment } from "./environment.js";
import { CATALOG_HASH, type ServerEvent, type ServerEventMap, type ServerEventType } from "./generated/events.js";
import { fetchInit } from "./http.js";
import { Inbox } from "./inbox.js";
import { Listeners } from "./listeners.js";
import { localStorageOrNull, Preference, type KeyValueStorage } from "./preference.js";
import { Rooms } from "./rooms.js";
import { lazilyShared } from "./shared/lazy.js";
import { browserTabs, type Tabs } from "./shared/tabs.js";
import { fetchSnapshot, type Snapshot } from "./snapshot.js";
import type { Status, StatusInfo } from "./status.js";
import { poll } from "./transports/poll.js";
import { sse } from "./transports/sse.js";
import type { Transport, WebSocketConstructor } from "./transports/transport.js";
import { websocket } from "./transports/websocket.js";

export interface RealtimeOptions {
  /** The workspace's slug. */
  readonly workspace: string;
  /** Where the server is; in a page it may be a path. Default: the page's own origin; elsewhere it is required. */
  readonly baseUrl?: string | URL;
  /** Where to go on, from a snapshot that was fetched already. Default: a snapshot is fetched, if `onSnapshot` has a listener. */
  readonly position?: string;
  /** Ids of rooms to be in from the beginning to the end. */
  readonly rooms?: readonly string[];
  /** Fetches a snapshot. Default: `GET /v1/workspaces/{workspace}/snapshot`. */
  readonly snapshot?: (signal: AbortSignal) => Promise<Snapshot>;
  /** What to try, in this order. Default: `[websocket, sse, poll]`. */
  readonly transports?: readonly Transport[];
  /**
   * Whether all tabs of one person share one connection. `auto` (default): on SSE
   * and long poll, of which browsers allow six at a time over HTTP/1.1; `always`:
   * on WebSocket as well; `never`.
   */
  readonly share?: "auto" | "always" | "never";
  /** How long a transport may be silent before it is live, in milliseconds. Default 8000. */
  readonly openTimeoutMs?: number;
  /**
   * Nobody is signed in, or not as a member. Called once; return (a promise of)
   * true when that has changed. Else the status becomes `stopped`, and `start()`
   * tries again.
   */
  readonly onAuthRequired?: () => unknown;
  /** Default: the global one. */
  readonly fetch?: typeof globalThis.fetch;
  /** Default: the global one. Without any, the transport `websocket` is left out. */
  readonly WebSocket?: WebSocketConstructor;
  /** Remembers for 10 minutes that WebSocket is blocked. Default: `localStorage`; `null`: nothing. */
  readonly storage?: KeyValueStorage | null;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Evenly distributed in [0, 1), for jitter. Default: `Math.random`. */
  readonly random?: () => number;
  /** Default: the browser's. */
  readonly environment?: Environment;
  /** What tabs share a connection by. Default: Web Locks and BroadcastChannel, where they are; `null`: nothing. */
  readonly tabs?: Tabs | null;
}

export interface EventMeta {
  /** It happened earlier and was made up for: while there was no connection, or before its room was opened. */
  readonly replayed: boolean;
}

export interface RoomHandle {
  readonly id: string;
  /** The last handle of a room leaves it. More calls do nothing. */
  close(): void;
}

export interface RoomOptions {
  /** The room's entries after this position, not only from now on. Counts for the room's first handle. */
  readonly after?: string;
  /**
   * The server refused the room (`not_found`), or ended the right to it
   * (`revoked`, `room_deleted`). The handle is void; open the room again when an
   * event says that it is there again.
   */
  readonly onEnd?: (reason: string) => void;
}

export interface Realtime {
  /** The slug it was made with. */
  readonly workspace: string;
  readonly status: Status;
  /** The transport of the present connection. */
  readonly transport: string | null;
  /** Everything up to here was delivered: another client can go on from it. `null` before the first snapshot. */
  readonly position: string | null;
  /** Called on each change of the status, of the transport or of the delay. Returns the function that unsubscribes. */
  onStatus(fn: (status: Status, info: StatusInfo) => void): () => void;
  /** Listens to one type of event, or to all with `"*"`. Returns the function that unsubscribes. */
  on<T extends ServerEventType>(type: T, fn: (event: ServerEventMap[T], meta: EventMeta) => void): () => void;
  on(type: "*", fn: (event: ServerEvent, meta: EventMeta) => void): () => void;
  /**
   * Replace what you have by the snapshot, in one step: it comes first, and
   * whenever a gap can't be replayed. Rooms' messages are not in it: fetch those
   * again. Returns the function that unsubscribes.
   */
  onSnapshot(fn: (snapshot: Snapshot) => void): () => void;
  /** Joins a room until the handle is closed. Throws a RangeError when more than 50 are open. */
  room(id: string, options?: RoomOptions): RoomHandle;
  /**
   * Resolves when the change with this `Orbit-Event-Id` was delivered, by an
   * event or within a snapshot. Rejects with a `StaleError` when the server
   * can't show it; with an Error after `timeout` milliseconds (default 30,000),
   * and when the client stops.
   */
  until(cause: string, options?: { readonly timeout?: number }): Promise<void>;
  /**
   * Sends a request to `/v1/workspaces/{workspace}/{path}` as this client sends
   * its own: there, with its `fetch` and the session cookie. A command's answer
   * has the header `Orbit-Event-Id`, for `until`. `""` is the workspace itself.
   */
  request(path: string, init?: RequestInit): Promise<Response>;
  /** Connects. Does nothing while it runs. */
  start(): void;
  /** Disconnects; nothing more is delivered. `start()` goes on where it was. */
  close(): void;
}

/** Makes a client of one workspace. Nothing happens before `start()`. */
export function createRealtime(options: RealtimeOptions): Realtime {
  const { workspace, clock = systemClock } = options;
  const fetch = options.fetch ?? ((...args) => globalThis.fetch(...args));
  const WebSocket = options.WebSocket ?? (globalThis.WebSocket as WebSocketConstructor | undefined);
  if (!workspace) throw new TypeError("orbit: no workspace");
  const base = absolute(options.baseUrl);

  const statuses = new Listeners<[Status, StatusInfo]>();
  const snapshots = new Listeners<[Snapshot]>();
  const byType = new Map<string, Listeners<[never, EventMeta]>>();
  const causes = new Causes(clock);
  const rooms = new Rooms();

  const deliver = (event: ServerEvent, replayed: boolean) => {
    for (const type of [event.type, "*"]) byType.get(type)?.emit(event as never, { replayed });
    if (!event.cause) return;
    causes.settle(event.cause, event.type === "system.stale" ? new StaleError(event.cause, event.aggregate) : null);
    for (const cause of event.causes ?? []) causes.settle(cause, null);
  };
  const inbox = new Inbox(options.position ?? null, rooms, {
    event: deliver,
    snapshot: (snapshot) => snapshots.emit(snapshot),
  });

  const url = (path: string, query?: Record<string, string>) => {
    const url = new URL(`${base.pathname.replace(/\/$/, "")}/v1/${path}`, base);
    if (query) url.search = new URLSearchParams(query).toString();
    return url;
  };
  const inWorkspace = (path: string) => url(["workspaces", encodeURIComponent(workspace), path.replace(/^\//, "")].filter(Boolean).join("/"));
  const getSnapshot = options.snapshot ?? ((signal) => fetchSnapshot(inWorkspace("snapshot"), fetch, signal));

  const { share = "auto", tabs = browserTabs(), openTimeoutMs = 8000 } = options;
  const isShared = ({ shareable }: Transport) => share === "always" || (share === "auto" && shareable);
  const transports = (options.transports ?? [websocket, sse, poll])
    .filter((transport) => transport.supported?.({ fetch, WebSocket }) ?? true)
    .map((transport) => (tabs && isShared(transport) ? lazilyShared(transport, tabs, clock, openTimeoutMs) : transport));
  if (transports.length === 0) throw new Error("orbit: none of the transports can work here");

  const storage = options.storage === undefined ? localStorageOrNull() : options.storage;
  const connector = new Connector(
    {
      fetch,
      WebSocket,
      transports,
      clock,
      openTimeoutMs,
      random: options.random ?? Math.random,
      environment: options.environment ?? browserEnvironment,
      preference: new Preference(storage, `orbit:transport:${url("", {}).href}`, clock),
      url: (path, query) => url(path, { workspace, catalog: CATALOG_HASH, ...query }),
      snapshot: () => (snapshots.size > 0 ? getSnapshot : null),
      onSignIn: options.onAuthRequired,
      changed(status, info) {
        if (status === "stopped") causes.rejectAll(new Error(`orbit: stopped: ${info.reason}`));
        statuses.emit(status, info);
      },
      covering: () => causes.coveredByNow(),
    },
    inbox,
    rooms,
  );
  for (const id of options.rooms ?? []) rooms.open(id, options.position ?? null);

  return {
    workspace,
    get status() {
      return connector.machine.status;
    },
    get transport() {
      return connector.transport;
    },
    get position() {
      return inbox.gap ? null : inbox.position;
    },
    onStatus: (fn) => statuses.add(fn),
    on(type: string, fn: (event: never, meta: EventMeta) => void) {
      let listeners = byType.get(type);
      if (!listeners) byType.set(type, (listeners = new Listeners()));
      return listeners.add(fn);
    },
    onSnapshot: (fn) => snapshots.add(fn),
    room(id, { after, onEnd } = {}) {
      const room = rooms.open(id, after ?? inbox.position);
      const unlisten = onEnd && room.onEnd.add(onEnd);
      connector.roomsChanged();
      let open = true;
      return {
        id,
        close() {
          if (!open) return;
          open = false;
          unlisten?.();
          rooms.close(room);
          connector.roomsChanged();
        },
      };
    },
    until: (cause, { timeout = 30_000 } = {}) => causes.wait(cause, timeout),
    request: (path, init) => fetch(inWorkspace(path), { ...fetchInit, ...init }),
    start: () => connector.start(),
    close: () => connector.stop("closed"),
  };
}

function absolute(baseUrl: string | URL = "/"): URL {
  try {
    return new URL(baseUrl, globalThis.location?.href);
  } catch {
    throw new TypeError(`orbit: baseUrl "${baseUrl}" isn't a full address`);
  }
}
