import type { Member, Role, Room, ServerEvent, Subscription, Team, Workspace } from "../generated/events.js";
import type { Snapshot } from "../snapshot.js";
import type { Entities, Ids, Single, Value } from "./part.js";
import type { OpenRooms } from "./rooms.js";
import type { StaleAggregates } from "./stale.js";

/** The workspace's state, where events arrive. Nothing shows before its parts are committed. */
export interface State {
  readonly workspace: Single<Workspace>;
  readonly me: Value<string | null>;
  readonly members: Entities<Member>;
  readonly roles: Entities<Role>;
  readonly teams: Entities<Team>;
  readonly subscription: Single<Subscription>;
  readonly rooms: Entities<Room>;
  readonly presence: Ids;
  readonly stale: StaleAggregates;
  readonly messages: OpenRooms;
}

/**
 * Applies one event. The switch is total: a type that is added to the catalog
 * and has no case here is a compile error, and so is one that was taken out. A
 * type that only a newer server knows falls through.
 */
export function applyServerEvent(state: State, event: ServerEvent): void {
  switch (event.type) {
    case "workspace.updated":
      return state.workspace.put(event.workspace);

    case "workspace.member.joined":
    case "workspace.member.updated":
    case "workspace.member.role_changed":
      return state.members.put(event.member);
    case "workspace.member.removed":
      return state.members.remove(event.member);

    case "workspace.role.created":
    case "workspace.role.updated":
      return state.roles.put(event.role);
    case "workspace.role.deleted":
      return state.roles.remove(event.role);

    case "workspace.team.created":
    case "workspace.team.updated":
    case "workspace.team.member.added":
    case "workspace.team.member.removed":
      return state.teams.put(event.team);
    case "workspace.team.deleted":
      return state.teams.remove(event.team);

    case "workspace.subscription.updated":
      return state.subscription.put(event.subscription);

    case "room.created":
    case "room.updated":
      state.rooms.put(event.room);
      return state.messages.reopen(event.room.id);
    case "room.deleted":
      return state.rooms.remove(event.room);

    case "room.message.posted":
      return state.messages.room(event.message.roomId)?.posted(event.message);
    case "room.message.edited":
      return state.messages.room(event.message.roomId)?.edited(event.message);
    case "room.message.deleted": // a tombstone says no room, but its channel does
      return state.messages.room(event.channel.slice("room:".length))?.deleted(event.message);

    case "presence.update":
      return state.presence.put(event.memberId, event.online);
    case "system.hello":
      state.me.set(event.member.id);
      return state.presence.replace(event.presence);

    case "system.stale":
      return state.stale.stale(event);
    case "system.healed":
      return state.stale.healed(event);

    case "member.notification": // a signal, not state: listen to it
    case "system.live":
    case "system.heartbeat":
    case "system.resync": // a snapshot follows
    case "system.subscribed":
    case "system.unsubscribed":
    case "system.error":
    case "system.outdated":
    case "system.goodbye":
      return;

    default:
      event satisfies never;
  }
}

/** Replaces everything that a snapshot holds. What is the same stays the same object. */
export function applySnapshot(state: State, snapshot: Snapshot): void {
  state.workspace.replace(snapshot.workspace);
  state.me.set(snapshot.me.memberId);
  state.members.replace(snapshot.members);
  state.roles.replace(snapshot.roles);
  state.teams.replace(snapshot.teams);
  state.subscription.replace(snapshot.subscription);
  state.rooms.replace(snapshot.rooms);
  state.presence.replace(snapshot.presence);
  state.stale.replace(snapshot.stale ?? []); // a server of before had none
  for (const { id } of snapshot.rooms) state.messages.reopen(id);
}
