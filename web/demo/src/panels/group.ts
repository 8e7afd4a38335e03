import { useMembers } from "@orbit/realtime/react";
import { useCommand } from "../side/command.js";
import { useAsk } from "../ui/ask.js";

interface Group {
  readonly id: string;
  readonly name: string;
  readonly memberIds: readonly string[];
}

/** The names of who is in a team or a private room. */
export function useNames(): (ids: readonly string[]) => string {
  const members = useMembers();
  return (ids) =>
    members
      .filter(({ id }) => ids.includes(id))
      .map(({ name }) => name)
      .join(", ");
}

/** Ticks who is in a team or a private room: one command for each difference. */
export function useMembership(kind: "teams" | "rooms"): (group: Group) => Promise<void> {
  const members = useMembers();
  const command = useCommand();
  const ask = useAsk();
  return async ({ id, name, memberIds }) => {
    const options = members.map((member) => [member.id, member.name] as const);
    const answer = await ask(`Who is in ${name}?`, [{ name: "ids", label: "Members", type: "checks", value: memberIds, options }]);
    if (!answer) return;
    const ids = answer.ids as string[];
    for (const [memberId] of options) {
      const isIn = ids.includes(memberId);
      if (isIn !== memberIds.includes(memberId)) await command(isIn ? "PUT" : "DELETE", `${kind}/${id}/members/${memberId}`);
    }
  };
}
