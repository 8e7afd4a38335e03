import type { Team } from "@orbit/realtime";
import { useTeams } from "@orbit/realtime/react";
import { memo } from "react";
import { useCommand } from "../side/command.js";
import { usePermits } from "../side/permits.js";
import { useAsk } from "../ui/ask.js";
import { Menu } from "../ui/menu.js";
import { Row, StaleBadge } from "../ui/row.js";
import { useMembership, useNames } from "./group.js";

export function Teams() {
  const teams = useTeams();
  const permits = usePermits();
  const command = useCommand();
  const ask = useAsk();
  const create = async () => {
    const body = await ask("New team", [{ name: "name", label: "Name" }], "Create");
    if (body) void command("POST", "teams", body);
  };
  return (
    <>
      <header>
        <h2>Teams</h2>
        {permits.can("teams.manage") && (
          <button type="button" onClick={() => void create()}>
            Create
          </button>
        )}
      </header>
      <ul className="rows">
        {teams.map((team) => (
          <TeamRow key={team.id} team={team} />
        ))}
        {teams.length === 0 && <li className="row soft">No team yet.</li>}
      </ul>
    </>
  );
}

const TeamRow = memo(function TeamRow({ team }: { readonly team: Team }) {
  const permits = usePermits();
  const command = useCommand();
  const ask = useAsk();
  const names = useNames();
  const choose = useMembership("teams");
  const { id, name } = team;
  const rename = async () => {
    const body = await ask(`Rename ${name}`, [{ name: "name", label: "Name", value: name }]);
    if (body) void command("PATCH", `teams/${id}`, body);
  };
  const remove = async () => {
    if (await ask(`Delete the team ${name}?`, [], "Delete", true)) void command("DELETE", `teams/${id}`);
  };
  const may = permits.can("teams.manage");
  return (
    <Row entity={team}>
      <span className="who">
        <b>{name}</b>
        <small>{names(team.memberIds) || "nobody yet"}</small>
      </span>
      <StaleBadge id={id} />
      <Menu
        of={name}
        actions={[
          may && { label: "Members", run: () => void choose(team) },
          may && { label: "Rename", run: () => void rename() },
          may && { label: "Delete", isDanger: true, run: () => void remove() },
        ]}
      />
    </Row>
  );
});
