import type { Room } from "@orbit/realtime";
import { useRooms } from "@orbit/realtime/react";
import { useState } from "react";
import { useCommand } from "../side/command.js";
import { usePermits } from "../side/permits.js";
import { useAsk } from "../ui/ask.js";
import { Menu } from "../ui/menu.js";
import { StaleBadge } from "../ui/row.js";
import { useMembership, useNames } from "./group.js";
import { Messages } from "./Messages.js";

export function Rooms() {
  const rooms = useRooms();
  const command = useCommand();
  const ask = useAsk();
  const [chosen, choose] = useState<string | null>(null);
  const room = rooms.find(({ id }) => id === chosen) ?? rooms[0]; // the first while there is no choice, or it is gone
  const open = async () => {
    const body = await ask("New room", [
      { name: "name", label: "Name" },
      { name: "private", label: "By invitation only", type: "checkbox" },
    ], "Open");
    if (body) void command("POST", "rooms", body);
  };
  return (
    <>
      <header>
        <h2>Rooms</h2>
        <button type="button" onClick={() => void open()}>
          Open a room
        </button>
      </header>
      <div className="room-list">
        <div role="group" aria-label="Rooms">
          {rooms.map(({ id, name, private: isPrivate }) => (
            <button key={id} type="button" aria-pressed={id === room?.id} onClick={() => choose(id)}>
              {isPrivate ? `${name} (private)` : name}
            </button>
          ))}
        </div>
        {room && <About room={room} />}
      </div>
      {room ? <Messages key={room.id} roomId={room.id} /> : <p className="row soft">No room yet.</p>}
    </>
  );
}

function About({ room }: { readonly room: Room }) {
  const permits = usePermits();
  const command = useCommand();
  const ask = useAsk();
  const names = useNames();
  const invite = useMembership("rooms");
  const { id, name } = room;
  const rename = async () => {
    const body = await ask(`Rename ${name}`, [{ name: "name", label: "Name", value: name }]);
    if (body) void command("PATCH", `rooms/${id}`, body);
  };
  const remove = async () => {
    if (await ask(`Delete ${name} with its messages?`, [], "Delete", true)) void command("DELETE", `rooms/${id}`);
  };
  const may = permits.manage(room);
  return (
    <>
      <small>{room.private && `only ${names(room.memberIds)}`}</small>
      <StaleBadge id={id} />
      <Menu
        of={name}
        actions={[
          room.private && { label: "Members", run: () => void invite(room) },
          may && { label: "Rename", run: () => void rename() },
          may && { label: "Delete", isDanger: true, run: () => void remove() },
        ]}
      />
    </>
  );
}
