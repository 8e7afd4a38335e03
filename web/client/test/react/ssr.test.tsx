// Rendered on a server, in Node: no window, no connection, and markup that the
// browser takes over without a mismatch.
import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import {
  RealtimeProvider,
  useConnection,
  useMe,
  useMembers,
  usePresence,
  useRoom,
  useServerEvent,
} from "../../src/react/index.js";
import { snapshot } from "../support/state.js";

function Page() {
  const members = useMembers();
  const online = usePresence();
  const { status } = useConnection();
  const room = useRoom("r");
  useServerEvent("*", () => {});
  const list = members.map(({ id, name }) => `${name}${online.has(id) ? "*" : ""}`).join(" ");
  return <p>{`${useMe()?.name}: ${list}, ${status}, ${room.room?.name} ${room.status}`}</p>;
}

test("with a snapshot it shows what is in it", () => {
  expect(typeof document).toBe("undefined");
  const html = renderToString(
    <RealtimeProvider workspace="acme" initialSnapshot={snapshot({ me: { memberId: "b" } })}>
      <Page />
    </RealtimeProvider>,
  );
  expect(html).toBe("<p>b: a* b, idle, r loading</p>");
});

test("without one it shows an empty workspace", () => {
  const html = renderToString(
    <RealtimeProvider workspace="acme" baseUrl="/orbit">
      <Page />
    </RealtimeProvider>,
  );
  expect(html).toBe("<p>undefined: , idle, undefined loading</p>");
});
