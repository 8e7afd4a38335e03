// A page of a React application, in StrictMode: it shows what the stores have.
import { RealtimeProvider, useConnection, useMembers, usePresence, useRoom, useTeams } from "@orbit/realtime/react";
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";

const roomId = new URL(location.href).searchParams.get("room");

function People() {
  const status = useConnection(({ status }) => status);
  const members = useMembers();
  const teams = useTeams();
  const online = usePresence();
  const [open, setOpen] = useState(true);
  return (
    <>
      <output id="status">{status}</output>
      <ul id="members">
        {members.map(({ id, name, roleId }) => (
          <li key={id} data-online={online.has(id)}>{`${name} ${roleId}`}</li>
        ))}
      </ul>
      <ul id="teams">
        {teams.map(({ id, name, memberIds }) => (
          <li key={id}>{`${name} ${memberIds.length}`}</li>
        ))}
      </ul>
      <button onClick={() => setOpen(!open)}>Room</button>
      {open && <Messages />}
    </>
  );
}

function Messages() {
  const { messages, status } = useRoom(roomId);
  return (
    <ul id="messages" data-status={status}>
      {messages.map(({ id, body }) => (
        <li key={id}>{body}</li>
      ))}
    </ul>
  );
}

createRoot(document.querySelector("#root")!).render(
  <StrictMode>
    <RealtimeProvider workspace="acme">
      <People />
    </RealtimeProvider>
  </StrictMode>,
);
