"use client";
import { useEffect, useInsertionEffect, useRef, useState, type ReactNode } from "react";
import { createRealtime, type Realtime, type RealtimeOptions } from "../realtime.js";
import type { Snapshot } from "../snapshot.js";
import { createStores, type Stores } from "../stores/stores.js";
import { ScopeContext, type Scope } from "./context.js";

interface Common {
  readonly children?: ReactNode;
  /**
   * What to show at first, from the server or from React Query, and where to go
   * on. Later values are ignored: from here on the connection tells what changed.
   */
  readonly initialSnapshot?: Snapshot | undefined;
}

/** A client of its own. Another `workspace` or `baseUrl` makes another one; other options are read when it is made, `onAuthRequired` when it is called. */
interface OwnClient extends Common, Omit<RealtimeOptions, "position"> {
  readonly client?: never;
}

/** A client that was made elsewhere. It is started here, and closed by whoever made it. Its providers share their stores. */
interface GivenClient extends Common {
  readonly client: Realtime;
}

export type RealtimeProviderProps = OwnClient | GivenClient;

interface Made extends Scope {
  /** What it was made for. */
  readonly key: unknown;
}

/** Connects while it is mounted, and gives the hooks below it what they read. */
export function RealtimeProvider(props: RealtimeProviderProps): ReactNode {
  const latest = useRef(props);
  useInsertionEffect(() => void (latest.current = props));

  // In state, not memoized: a client that was forgotten would never be closed.
  const [kept, keep] = useState(() => make(props, latest));
  let made = kept;
  if (made.key !== keyOf(props)) keep((made = make(props, latest)));

  const { client } = made.stores;
  const isOwn = props.client === undefined;
  useEffect(() => {
    // A moment later: mounted, unmounted and mounted again, as StrictMode does it, is one connection.
    let phase: "mounted" | "started" | "unmounted" = "mounted";
    queueMicrotask(() => {
      if (phase === "unmounted") return;
      phase = "started";
      client.start();
    });
    return () => {
      if (phase === "started" && isOwn) client.close();
      phase = "unmounted";
    };
  }, [client, isOwn]);

  return <ScopeContext.Provider value={made}>{props.children}</ScopeContext.Provider>;
}

function keyOf({ client, ...options }: RealtimeProviderProps): unknown {
  if (client) return client;
  const { workspace, baseUrl = "" } = options as OwnClient;
  return `${workspace} ${baseUrl}`;
}

/** Stores of clients that were made elsewhere: as long as the client lives, whoever mounts. */
const storesOf = new WeakMap<Realtime, Stores>();

function make(props: RealtimeProviderProps, latest: { readonly current: RealtimeProviderProps }): Made {
  let stores = props.client && storesOf.get(props.client);
  if (!stores) {
    stores = createStores(props.client ?? createOwn(props as OwnClient, latest as { readonly current: OwnClient }));
    if (props.client) storesOf.set(props.client, stores);
    if (props.initialSnapshot) stores.hydrate(props.initialSnapshot);
  }
  return { key: keyOf(props), stores, initial: statesOf(stores) };
}

function createOwn(props: OwnClient, latest: { readonly current: OwnClient }): Realtime {
  const { children: _, initialSnapshot, client: __, ...options } = props;
  return createRealtime({
    ...options,
    // On a server nothing is ever started: it needs no address.
    ...("location" in globalThis ? null : { baseUrl: new URL(options.baseUrl ?? "", "http://server.invalid") }),
    ...(initialSnapshot && { position: initialSnapshot.position }),
    onAuthRequired: () => latest.current.onAuthRequired?.(),
  });
}

function statesOf(stores: Stores): ReadonlyMap<unknown, unknown> {
  const all = Object.values(stores).filter((value): value is Stores["membersStore"] => "state" in Object(value));
  return new Map(all.map((store) => [store, store.state]));
}
