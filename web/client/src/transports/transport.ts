import type { ServerEvent } from "../generated/events.js";

/** A way to receive server events. Strategy objects: stateless, shared by all connections. */
export interface Transport {
  /** Shown to people, and remembered in storage. */
  readonly name: string;
  /**
   * Whether tabs share a link unless they are told otherwise: browsers allow six
   * of its kind to one server, over HTTP/1.1. Default: no.
   */
  readonly shareable?: boolean;
  /** Whether it can work here at all. Default: yes. */
  supported?(tools: Tools): boolean;
  /**
   * Opens a link that begins where the request says. It never throws: whatever
   * goes wrong is told by `sink.end`, and not before `open` has returned.
   */
  open(request: OpenRequest, sink: Sink): Link;
}

/** The injected parts of the platform. */
export interface Tools {
  readonly fetch: typeof globalThis.fetch;
  readonly WebSocket: WebSocketConstructor | undefined;
}

export interface OpenRequest extends Tools {
  /** `/v1/<path>` with workspace, position, rooms and catalog in its query, and whatever is added. */
  url(path: string, extra?: Record<string, string>): URL;
}

/** Where a link puts what it receives. A closed link puts nothing anymore. */
export interface Sink {
  /** Bytes came: the link isn't dead. */
  alive(): void;
  /** Server events came, oldest first. */
  receive(events: readonly ServerEvent[]): void;
  /** The link is over. Told once, and not after `close`. */
  end(end: End): void;
}

/** Why a link is over, as far as it can tell. */
export interface End {
  readonly reason: string;
  /** A WebSocket's close code, or the code of `system.goodbye`. */
  readonly code?: number;
  /** The HTTP status of an answer that isn't 200. */
  readonly status?: number;
  /** Milliseconds to stay away, as the server said. */
  readonly delayMs?: number;
  /** Whether to come back, as `system.goodbye` said. */
  readonly reconnect?: boolean;
}

export interface Link {
  /** Absent: rooms are fixed when the link is opened. */
  send?(message: ClientMessage): void;
  /** Finds out, if it can, whether the link is alive: the page was out of sight. */
  check?(): void;
  /** `leaving`: the user is going, rather than coming back at once; presence shows it without delay. */
  close(leaving: boolean): void;
}

/** What a client may send over a WebSocket. */
export type ClientMessage =
  | { readonly type: "subscribe"; readonly room: string; readonly ref: number; readonly position?: string }
  | { readonly type: "unsubscribe"; readonly room: string; readonly ref: number };

/** The part of a WebSocket that is used; the browser's and the one of `ws` fit. */
export interface WebSocketLike {
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  send(data: string): void;
  close(code?: number): void;
}

export type WebSocketConstructor = new (url: URL, protocols: string) => WebSocketLike;
