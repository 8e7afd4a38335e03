// What the signed-in member may do, as far as the page can tell. It only spares
// people a refusal: the server decides.
import type { Member, Permission, Role, Room } from "@orbit/realtime";
import { useMe, useRole, useRoles } from "@orbit/realtime/react";

/** The owner's is the built-in role that may do everything, bills included. */
const isOwner = (role: Role | undefined): boolean => Boolean(role?.system && role.permissions.includes("billing.manage"));

export interface Permits {
  can(permission: Permission): boolean;
  isMe(member: Member): boolean;
  /** Nobody gives what they don't have, and only owners make owners. */
  give(role: Role): boolean;
  changeRole(member: Member): boolean;
  remove(member: Member): boolean;
  /** A private room is in the hands of those who are in it, and only they see it. */
  manage(room: Room): boolean;
}

export function usePermits(): Permits {
  const me = useMe();
  const mine = useRole(me?.roleId);
  const roles = useRoles();
  const can = (permission: Permission) => mine?.permissions.includes(permission) ?? false;
  const isMe = (member: Member) => member.id === me?.id;
  // It takes an owner to unmake one.
  const unmake = (member: Member) => !isOwner(roles.find(({ id }) => id === member.roleId)) || isOwner(mine);
  return {
    can,
    isMe,
    give: (role) => (!isOwner(role) || isOwner(mine)) && role.permissions.every(can),
    changeRole: (member) => can("members.manage") && unmake(member),
    remove: (member) => (isMe(member) || can("members.manage")) && unmake(member),
    manage: (room) => room.private || can("rooms.manage"),
  };
}
