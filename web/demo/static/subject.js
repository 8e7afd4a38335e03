// One line that says what a server event was about.

/** Reads names from the state as it was before the event, for a tombstone has none. */
export function subject(event, state) {
  const member = (id) => state.members.get(id)?.name ?? "a former member";
  const role = (id) => state.roles.get(id)?.name ?? "another role";
  const renamed = (before, now) => (before && before !== now ? `${before} → ${now}` : now);
  switch (event.type) {
    case "workspace.member.role_changed":
      return `${event.member.name} → ${role(event.member.roleId)}`;
    case "workspace.team.member.added":
      return `${event.team.name} + ${member(event.memberId)}`;
    case "workspace.team.member.removed":
      return `${event.team.name} − ${member(event.memberId)}`;
    case "workspace.subscription.updated":
      return `${event.subscription.plan}, ${event.subscription.status}, ${event.subscription.seats} seats`;
    case "room.message.posted":
    case "room.message.edited":
      return `${member(event.message.authorId)}: ${event.message.body}`;
    case "room.message.deleted": {
      const gone = state.messages.get(event.message.id);
      return gone?.body ? `${member(gone.authorId)}: ${gone.body}` : "";
    }
    case "member.notification":
      return event.notification.title;
    case "presence.update":
      return `${member(event.memberId)} is ${event.online ? "online" : "offline"}`;
    case "system.hello":
      return event.resumed ? "resumed at the position" : "a new start";
    case "system.subscribed":
    case "system.unsubscribed":
      return state.rooms.get(event.room)?.name ?? "";
    case "system.resync":
    case "system.goodbye":
      return event.reason;
    case "system.error":
      return event.message;
  }
  // What is left concerns one entity: its name, or the one it had.
  for (const kind of ["member", "role", "team", "room", "workspace"]) {
    if (!event[kind]?.version) continue;
    const before = kind === "workspace" ? state.workspace?.name : state[`${kind}s`].get(event[kind].id)?.name;
    return event[kind].name ? renamed(before, event[kind].name) : before ?? "";
  }
  return "";
}
