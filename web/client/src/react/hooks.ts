"use client";
import { useCallback, useEffect, useInsertionEffect, useMemo, useRef } from "react";
import type {
  Member,
  Role,
  Room,
  ServerEvent,
  ServerEventMap,
  ServerEventType,
  Stale,
  Subscription,
  Team,
  Workspace,
} from "../generated/events.js";
import type { EventMeta, Realtime } from "../realtime.js";
import { notOpen, type RoomMessages } from "../stores/room.js";
import type { RoomLease } from "../stores/rooms.js";
import type { Connection, Stores } from "../stores/stores.js";
import { useScope, useStore } from "./context.js";
import { sorted } from "./sorted.js";

/** An id that may not be known yet. */
type Id = string | null | undefined;

const whole = <T>(state: T): T => state;
const at =
  <T>(id: Id) =>
  (state: ReadonlyMap<string, T>): T | undefined =>
    id ? state.get(id) : undefined;

/** The client: `until`, `request`, `on`, … */
export function useRealtime(): Realtime {
  return useScope().stores.client;
}

/** The stores themselves, for selectors of your own (with `@tanstack/react-store`). */
export function useStores(): Stores {
  return useScope().stores;
}

export function useWorkspace(): Workspace | null {
  return useStore((s) => s.workspaceStore, whole);
}

/** The member who is signed in. */
export function useMe(): Member | undefined {
  return useMember(useStore((s) => s.meStore, whole));
}

export function useMember(id: Id): Member | undefined {
  return useStore((s) => s.membersStore, at<Member>(id));
}

/** Everybody, by name. */
export function useMembers(): readonly Member[] {
  return useStore((s) => s.membersStore, sorted<Member>);
}

export function useRole(id: Id): Role | undefined {
  return useStore((s) => s.rolesStore, at<Role>(id));
}

/** By name. */
export function useRoles(): readonly Role[] {
  return useStore((s) => s.rolesStore, sorted<Role>);
}

export function useTeam(id: Id): Team | undefined {
  return useStore((s) => s.teamsStore, at<Team>(id));
}

/** By name. */
export function useTeams(): readonly Team[] {
  return useStore((s) => s.teamsStore, sorted<Team>);
}

export function useSubscription(): Subscription | null {
  return useStore((s) => s.subscriptionStore, whole);
}

/** The rooms that the member may see, by name. */
export function useRooms(): readonly Room[] {
  return useStore((s) => s.roomsStore, sorted<Room>);
}

/** Whether a member is online. */
export function usePresence(memberId: Id): boolean;
/** The ids of all who are online. */
export function usePresence(): ReadonlySet<string>;
export function usePresence(...ids: [memberId?: Id]): boolean | ReadonlySet<string> {
  return useStore(
    (s) => s.presenceStore,
    (online) => (ids.length === 0 ? online : online.has(ids[0] ?? "")),
  );
}

export interface OpenRoom extends RoomMessages {
  /** Undefined until the first snapshot, or when there is no such room. */
  readonly room: Room | undefined;
  /** Fetches an older page of messages. Rejects when that fails. */
  readonly loadMore: () => Promise<void>;
}

/**
 * Opens a room while the component is mounted: joins it, fetches its newest
 * messages and keeps them up to date. Components that open the same room share
 * it. Without an id nothing is opened.
 */
export function useRoom(id: Id): OpenRoom {
  const { stores } = useScope();
  const lease = useRef<RoomLease | null>(null);
  useEffect(() => {
    if (!id) return;
    const mine = (lease.current = stores.openRoom(id));
    return () => mine.close();
  }, [stores, id]);
  const loadMore = useCallback(async () => lease.current?.loadMore(), []);
  const room = useStore((s) => s.roomsStore, at<Room>(id));
  const messages = useStore((s) => s.messagesStore, at<RoomMessages>(id)) ?? notOpen;
  return useMemo(() => ({ ...messages, room, loadMore }), [messages, room, loadMore]);
}

/** The connection. With `select`, it renders only when what that returns changes: a primitive, that is. */
export function useConnection(): Connection;
export function useConnection<S extends string | number | boolean | null>(select: (connection: Connection) => S): S;
export function useConnection(select: (connection: Connection) => unknown = whole): unknown {
  return useStore((s) => s.connectionStore, select);
}

/** Set while what is shown of the aggregate (a member, a role, …) is old, or may get so, for the server could not project a change. */
export function useStale(aggregateId: Id): Stale | undefined {
  return useStore((s) => s.staleStore, at<Stale>(aggregateId));
}

/** Calls `fn`, always that of the last render, on each event of a type, or on all with `"*"`. */
export function useServerEvent<T extends ServerEventType>(
  type: T,
  fn: (event: ServerEventMap[T], meta: EventMeta) => void,
): void;
export function useServerEvent(type: "*", fn: (event: ServerEvent, meta: EventMeta) => void): void;
export function useServerEvent(type: string, fn: (event: never, meta: EventMeta) => void): void {
  const client = useRealtime();
  const latest = useRef(fn);
  useInsertionEffect(() => void (latest.current = fn));
  useEffect(() => client.on(type as "*", (event, meta) => latest.current(event as never, meta)), [client, type]);
}
