// What the signed-in member may do, as far as the page can tell. It only spares
// people a refusal: the server decides.

/** The owner's is the built-in role that may do everything, bills included. */
const isOwner = (role) => Boolean(role?.system && role.permissions.includes("billing.manage"));

export class Permits {
  constructor(state) {
    this.state = state;
  }

  get #role() {
    return this.state.roles.get(this.state.members.get(this.state.me)?.roleId);
  }

  /** Whether one's role has the permission. */
  can(permission) {
    return Boolean(this.#role?.permissions.includes(permission));
  }

  isMe(member) {
    return member.id === this.state.me;
  }

  /** Nobody gives what they don't have, and only owners make owners. */
  give(role) {
    return (!isOwner(role) || isOwner(this.#role)) && role.permissions.every((p) => this.can(p));
  }

  /** It takes an owner to unmake one. */
  unmake(member) {
    return !isOwner(this.state.roles.get(member.roleId)) || isOwner(this.#role);
  }

  changeRole(member) {
    return this.can("members.manage") && this.unmake(member);
  }

  remove(member) {
    return (this.isMe(member) || this.can("members.manage")) && this.unmake(member);
  }

  /** A private room is in the hands of those who are in it, and only they see it. */
  manage(room) {
    return room.private || this.can("rooms.manage");
  }
}
