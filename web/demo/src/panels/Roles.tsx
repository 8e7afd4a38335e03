import { permissions, type Role } from "@orbit/realtime";
import { useRoles } from "@orbit/realtime/react";
import { memo } from "react";
import { useCommand } from "../side/command.js";
import { usePermits } from "../side/permits.js";
import { useAsk, type Field } from "../ui/ask.js";
import { Menu } from "../ui/menu.js";
import { Row, StaleBadge } from "../ui/row.js";

/** Asks for a role: its name, and those permissions that the asker may give. */
function useAskForRole() {
  const permits = usePermits();
  const ask = useAsk();
  return (title: string, role: { readonly name: string; readonly permissions: readonly string[] }, ok: string) => {
    const possible = permissions.filter((one) => permits.can(one) || role.permissions.includes(one));
    const fields: Field[] = [
      { name: "name", label: "Name", value: role.name },
      { name: "permissions", label: "Permissions", type: "checks", value: role.permissions, options: possible.map((one) => [one, one]) },
    ];
    return ask(title, fields, ok);
  };
}

export function Roles() {
  const roles = useRoles();
  const permits = usePermits();
  const command = useCommand();
  const askForRole = useAskForRole();
  const create = async () => {
    const body = await askForRole("New role", { name: "", permissions: [] }, "Create");
    if (body) void command("POST", "roles", body);
  };
  return (
    <>
      <header>
        <h2>Roles</h2>
        {permits.can("roles.manage") && (
          <button type="button" onClick={() => void create()}>
            Create
          </button>
        )}
      </header>
      <ul className="rows">
        {roles.map((role) => (
          <RoleRow key={role.id} role={role} />
        ))}
      </ul>
    </>
  );
}

const RoleRow = memo(function RoleRow({ role }: { readonly role: Role }) {
  const permits = usePermits();
  const command = useCommand();
  const ask = useAsk();
  const askForRole = useAskForRole();
  const { id, name } = role;
  const edit = async () => {
    const body = await askForRole(`Edit ${name}`, role, "Save");
    if (body) void command("PATCH", `roles/${id}`, body);
  };
  const remove = async () => {
    if (await ask(`Delete the role ${name}?`, [], "Delete", true)) void command("DELETE", `roles/${id}`);
  };
  const mayEdit = !role.system && permits.can("roles.manage");
  return (
    <Row entity={role}>
      <span className="who">
        <b>{name}</b>
        <small>{role.permissions.join(", ") || "no permissions"}</small>
      </span>
      <StaleBadge id={id} />
      {role.system && <span className="soft">built in</span>}
      <Menu
        of={name}
        actions={[
          mayEdit && { label: "Edit", run: () => void edit() },
          mayEdit && { label: "Delete", isDanger: true, run: () => void remove() },
        ]}
      />
    </Row>
  );
});
