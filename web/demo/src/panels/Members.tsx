import type { Member } from "@orbit/realtime";
import { useMembers, usePresence, useRoles } from "@orbit/realtime/react";
import { memo, useState } from "react";
import { useCommand } from "../side/command.js";
import { usePermits } from "../side/permits.js";
import { useAsk } from "../ui/ask.js";
import { Menu } from "../ui/menu.js";
import { Row, StaleBadge } from "../ui/row.js";

export function Members() {
  const members = useMembers();
  const online = usePresence();
  const permits = usePermits();
  const command = useCommand();
  const ask = useAsk();
  const add = async () => {
    const body = await ask("Add a member", [
      { name: "email", label: "E-mail", type: "email", maxLength: 254 },
      { name: "name", label: "Name" },
    ], "Add");
    if (body) void command("POST", "members", body);
  };
  return (
    <>
      <header>
        <h2>Members</h2>
        <span className="soft">
          {members.filter(({ id }) => online.has(id)).length} of {members.length} online
        </span>
        {permits.can("members.manage") && (
          <button type="button" onClick={() => void add()}>
            Add
          </button>
        )}
      </header>
      <ul className="rows">
        {members.map((member) => (
          <MemberRow key={member.id} member={member} />
        ))}
      </ul>
    </>
  );
}

const initials = (name: string): string =>
  name
    .split(/\s+/)
    .slice(0, 2)
    .map((word) => [...word][0] ?? "")
    .join("")
    .toUpperCase();

const MemberRow = memo(function MemberRow({ member }: { readonly member: Member }) {
  const isOnline = usePresence(member.id);
  const permits = usePermits();
  const command = useCommand();
  const ask = useAsk();
  const { id, name } = member;
  const isMe = permits.isMe(member);

  const rename = async () => {
    const body = await ask(`Rename ${name}`, [{ name: "name", label: "Name", value: name }]);
    if (body) void command("PATCH", `members/${id}`, body);
  };
  const notify = async () => {
    const body = await ask(`Notify ${name}`, [
      { name: "title", label: "Title", value: "Hello", maxLength: 120 },
      { name: "body", label: "Text", value: "Somebody waves at you.", maxLength: 4000 },
    ], "Send");
    if (body) void command("POST", `members/${id}/notifications`, body);
  };
  const remove = async () => {
    const sure = await ask(isMe ? "Leave the workspace?" : `Remove ${name}?`, [], isMe ? "Leave" : "Remove", true);
    if (sure) void command("DELETE", `members/${id}`);
  };
  return (
    <Row entity={member}>
      <span className="face" data-online={isOnline} title={isOnline ? "online" : "offline"} aria-hidden="true">
        {initials(name)}
      </span>
      <span className="who">
        <b>
          {name}
          {isMe && " (you)"}
          <span className="sr">, {isOnline ? "online" : "offline"}</span>
        </b>
        <small>{member.email}</small>
      </span>
      <StaleBadge id={id} />
      <RoleSelect member={member} />
      <Menu
        of={name}
        actions={[
          (isMe || permits.can("members.manage")) && { label: "Rename", run: () => void rename() },
          permits.can("members.notify") && { label: "Notify", run: () => void notify() },
          permits.remove(member) && { label: isMe ? "Leave" : "Remove", isDanger: true, run: () => void remove() },
        ]}
      />
    </Row>
  );
});

function RoleSelect({ member }: { readonly member: Member }) {
  const roles = useRoles();
  const permits = usePermits();
  const command = useCommand();
  const [asked, setAsked] = useState<string | null>(null); // until the event is here
  const change = async (roleId: string) => {
    setAsked(roleId);
    await command("PATCH", `members/${member.id}`, { roleId });
    setAsked(null);
  };
  return (
    <select
      className="role"
      aria-label={`Role of ${member.name}`}
      aria-busy={asked !== null}
      value={asked ?? member.roleId}
      disabled={!permits.changeRole(member)}
      title={permits.changeRole(member) ? undefined : "Your role doesn't allow changing this one"}
      onChange={({ target }) => void change(target.value)}
    >
      {roles.map((role) => (
        <option key={role.id} value={role.id} disabled={role.id !== member.roleId && !permits.give(role)}>
          {role.name}
        </option>
      ))}
    </select>
  );
}
