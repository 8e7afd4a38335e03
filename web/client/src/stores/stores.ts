import { batch } from "@tanstack/store";
import type { Member, Role, Room, ServerEvent, Stale, Subscription, Team, Workspace } from "../generated/events.js";
import { HttpError } from "../http.js";
import { report } from "../listeners.js";
import { covers, isAfter } from "../position.js";
import type { Realtime } from "../realtime.js";
import type { Snapshot } from "../snapshot.js";
import type { Status } from "../status.js";
import { applyServerEvent, applySnapshot, type State } from "./apply.js";
import { Entities, Ids, Single, Value, type ReadonlyStore } from "./part.js";
import { Retry } from "./retry.js";
import type { RoomMessages } from "./room.js";
import { OpenRooms, type RoomLease } from "./rooms.js";
import { StaleAggregates } from "./stale.js";

/** How the client is connected, and how far it is. */
export interface Connection {
  readonly status: Status;
  /** The transport that is live or being tried; `null` without one. */
  readonly transport: string | null;
  /** `waiting` and `offline`: milliseconds until the next attempt, counted from when this was set. */
  readonly delayMs: number | null;
  /** `waiting`, `offline` and `stopped`: why. */
  readonly reason: string | null;
  /** Everything up to here is in the stores; `null` before the first snapshot. */
  readonly position: string | null;
}

/** The workspace as TanStack stores. All of them show one moment: a burst of events is one update. */
export interface Stores {
  /** The client that feeds them. */
  readonly client: Realtime;
  /** `null` before the first snapshot. */
  readonly workspaceStore: ReadonlyStore<Workspace | null>;
  /** The id of the member who is signed in; `null` before the first snapshot. */
  readonly meStore: ReadonlyStore<string | null>;
  readonly membersStore: ReadonlyStore<ReadonlyMap<string, Member>>;
  readonly rolesStore: ReadonlyStore<ReadonlyMap<string, Role>>;
  readonly teamsStore: ReadonlyStore<ReadonlyMap<string, Team>>;
  /** `null` before the first snapshot. */
  readonly subscriptionStore: ReadonlyStore<Subscription | null>;
  /** The rooms that the member may see. */
  readonly roomsStore: ReadonlyStore<ReadonlyMap<string, Room>>;
  /** By room id: the rooms that are open, see `openRoom`. */
  readonly messagesStore: ReadonlyStore<ReadonlyMap<string, RoomMessages>>;
  /** Ids of the members who are online. */
  readonly presenceStore: ReadonlyStore<ReadonlySet<string>>;
  /** By the id of the aggregate: what is shown of it is old, or may get so, for the server could not project a change. */
  readonly staleStore: ReadonlyStore<ReadonlyMap<string, Stale>>;
  readonly connectionStore: ReadonlyStore<Connection>;
  /** Joins a room, fetches its messages and keeps them in `messagesStore`, until the last lease is closed. At most 50 rooms. */
  openRoom(id: string): RoomLease;
  /**
   * Shows a snapshot that was fetched elsewhere, at once. One that is older than
   * what the stores have does nothing.
   */
  hydrate(snapshot: Snapshot): void;
  /** Lets go of the client and of all rooms. The client itself stays as it is. */
  close(): void;
}

/**
 * Makes stores that a client feeds. Best before its `start()`: stores that come
 * later, and a client that has a `position` but never got its snapshot, fetch
 * one and are empty until then.
 */
export function createStores(client: Realtime): Stores {
  let position: string | null = null; // everything up to here, rooms' entries aside, is applied
  let early: ServerEvent[] | null = []; // events that came before any snapshot
  let scheduled = false;
  let first: Retry | null = null;

  /** In a microtask: once for all the events of a message, and before `await client.until(…)` goes on. */
  const schedule = () => {
    if (scheduled) return;
    scheduled = true;
    queueMicrotask(commit);
  };
  const commit = () => {
    scheduled = false;
    connect({ position: client.position });
    // A subscriber that throws breaks off TanStack's round of telling them. It
    // goes on behind that one: what one widget can't do, the others must not miss.
    for (let changed = parts; ; changed = []) {
      try {
        return batch(() => changed.forEach((part) => part.commit()));
      } catch (error) {
        report(error);
      }
    }
  };

  const state: State = {
    workspace: new Single(),
    me: new Value<string | null>(null),
    members: new Entities(),
    roles: new Entities(),
    teams: new Entities(),
    subscription: new Single(),
    rooms: new Entities(),
    presence: new Ids(),
    stale: new StaleAggregates(),
    messages: new OpenRooms(client, schedule),
  };
  const connection = new Value<Connection>({
    status: client.status,
    transport: client.transport,
    delayMs: null,
    reason: null,
    position: client.position,
  });
  const parts = [...Object.values(state), connection] as { commit(): void }[];

  const connect = (change: Partial<Connection>) => {
    const next = { ...connection.current, ...change };
    if (Object.entries(next).some(([key, value]) => connection.current[key as keyof Connection] !== value))
      connection.set(next);
  };

  const take = (event: ServerEvent) => {
    if (event.type === "system.hello" && state.me.current && state.me.current !== event.member.id) {
      // Somebody else signed in: they may see less, and what they may see more is missing.
      position = null;
      early = [];
      first = null;
    }
    if (event.id && event.channel && !event.channel.startsWith("room:")) {
      if (early) return void early.push(event);
      if (!isAfter(event.id, position)) return; // a snapshot has it already
      position = event.id;
    }
    applyServerEvent(state, event);
    schedule();
  };

  const replace = (snapshot: Snapshot) => {
    first?.stop();
    position = snapshot.position;
    applySnapshot(state, snapshot);
    const held = early ?? [];
    early = null;
    held.forEach(take);
    schedule();
  };

  const hydrate = (snapshot: Snapshot) => {
    if (position !== null && !covers(snapshot.position, position)) return;
    replace(snapshot);
    commit();
  };

  /** The client brings no snapshot anymore: fetches one, for events alone are half of it. */
  const catchUp = () => {
    if (!early) return;
    first ??= new Retry(client, async (signal) => {
      const response = await client.request("snapshot", { signal });
      if (!response.ok) throw HttpError.of(response);
      hydrate((await response.json()) as Snapshot);
    });
  };

  const unlisten = [
    client.on("*", take),
    client.onSnapshot((snapshot) => {
      replace(snapshot);
      state.messages.refresh();
    }),
    client.onStatus((status, { transport, delayMs = null, reason = null }) => {
      connect({ status, transport, delayMs, reason });
      schedule();
      if (status === "live") catchUp();
    }),
  ];
  queueMicrotask(() => client.status === "live" && catchUp()); // after a `hydrate` that follows

  return {
    client,
    workspaceStore: state.workspace.store,
    meStore: state.me.store,
    membersStore: state.members.store,
    rolesStore: state.roles.store,
    teamsStore: state.teams.store,
    subscriptionStore: state.subscription.store,
    roomsStore: state.rooms.store,
    messagesStore: state.messages.store,
    presenceStore: state.presence.store,
    staleStore: state.stale.store,
    connectionStore: connection.store,
    openRoom: (id) => state.messages.open(id),
    hydrate,
    close() {
      unlisten.forEach((stop) => stop());
      first?.stop();
      state.messages.close();
    },
  };
}
