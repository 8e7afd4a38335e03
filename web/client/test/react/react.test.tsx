// @vitest-environment happy-dom
import { act, cleanup, render, renderHook, screen } from "@testing-library/react";
import { Profiler, StrictMode, useState, type ReactNode } from "react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Transport } from "../../src/index.js";
import {
  RealtimeProvider,
  useConnection,
  useMe,
  useMember,
  useMembers,
  usePresence,
  useRealtime,
  useRole,
  useRoles,
  useRoom,
  useRooms,
  useServerEvent,
  useStale,
  useSubscription,
  useTeam,
  useTeams,
  useWorkspace,
  type RealtimeProviderProps,
} from "../../src/react/index.js";
import { settled } from "../support/clock.js";
import { FakeEnvironment, FakeLink } from "../support/harness.js";
import { events, FakeApi, grantRooms, member, message, role, room, snapshot } from "../support/state.js";

let links: FakeLink[];
let api: FakeApi;
const environment = new FakeEnvironment();
const transport: Transport = {
  name: "fake",
  open(request, sink) {
    const link = new FakeLink("fake", request, sink);
    const send = (message: FakeLink["sent"][number]) => void link.sent.push(message);
    links.push(link);
    return { send, close: (leaving) => void (link.closed ??= leaving ? "leaving" : "coming back") };
  },
};

beforeEach(() => {
  links = [];
  api = new FakeApi();
});
afterEach(cleanup);

const options = () =>
  ({
    workspace: "acme",
    baseUrl: "http://orbit.test",
    transports: [transport],
    fetch: api.fetch,
    storage: null,
    environment,
  }) satisfies RealtimeProviderProps;

const initial = snapshot({ members: [member("a"), member("b"), member("mem_1")] });
const open = () => links.filter(({ closed }) => closed === null);

type Options = Partial<Exclude<RealtimeProviderProps, { client: object }>>;

function Realtime({ children, ...props }: Options) {
  return (
    <RealtimeProvider {...options()} initialSnapshot={initial} {...props}>
      {children}
    </RealtimeProvider>
  );
}

/** Everything that is to happen by itself has. */
const quiet = () => act(settled);

/** Renders, and connects. */
async function mount(ui: ReactNode, wrapper?: typeof StrictMode) {
  const view = render(ui, wrapper && { wrapper });
  await quiet();
  act(() => links.at(-1)!.live({ presence: ["a"] }));
  await quiet();
  return { ...view, link: links.at(-1)! };
}

const receive = async (...received: unknown[]) => {
  await act(async () => {
    links.at(-1)!.receive(...received);
    await settled();
  });
};

/** The value of a hook below a provider. */
async function hook<T>(use: () => T) {
  const { result, ...rest } = renderHook(use, { wrapper: ({ children }) => <Realtime>{children}</Realtime> });
  await quiet();
  act(() => links.at(-1)!.live({ presence: ["a"] }));
  await quiet();
  return { result, ...rest };
}

test("of a hundred members one changes: exactly its row renders", async () => {
  const members = Array.from({ length: 100 }, (_, i) => member(`m${i}`));
  const rows = new Map<string, number>();
  function Row({ id }: { id: string }) {
    rows.set(id, (rows.get(id) ?? 0) + 1);
    return <li>{useMember(id)?.name}</li>;
  }
  function Unrelated() {
    rows.set("roles", (rows.get("roles") ?? 0) + 1);
    return <p>{useRoles().length}</p>;
  }
  await mount(
    <Realtime initialSnapshot={snapshot({ members })}>
      <Unrelated />
      {members.map(({ id }) => (
        <Row key={id} id={id} />
      ))}
    </Realtime>,
  );
  rows.clear();
  await receive(events.updated(11, member("m42", 2, "Changed")));
  expect([...rows]).toEqual([["m42", 1]]);
  expect(screen.getByText("Changed")).toBeTruthy();
});

test("a thousand events in one message render a list once", async () => {
  let commits = 0;
  function List() {
    return <p>{useMembers().length} members</p>;
  }
  await mount(
    <Realtime>
      <Profiler id="list" onRender={() => void commits++}>
        <List />
      </Profiler>
    </Realtime>,
  );
  commits = 0;
  await receive(...Array.from({ length: 1000 }, (_, i) => events.joined(11 + i, member(`m${i}`))));
  expect(screen.getByText("1003 members")).toBeTruthy();
  expect(commits).toBe(1);
});

test("StrictMode mounts twice and connects once", async () => {
  const statuses: string[] = [];
  function Status() {
    statuses.push(useConnection((connection) => connection.status));
    return <p>{useRoom("r").messages.length} messages</p>;
  }
  api.messages = [message(1)];
  await mount(
    <Realtime>
      <Status />
    </Realtime>,
    StrictMode,
  );
  expect(links).toHaveLength(1);
  expect(links[0]!.rooms).toEqual(["r"]);
  expect(api.requests).toEqual(["rooms/r/messages?limit=50"]);
  expect(screen.getByText("1 messages")).toBeTruthy();
  expect(statuses).not.toContain("stopped");
});

test("without a snapshot one is fetched", async () => {
  function Names() {
    return (
      <p>
        {useMembers()
          .map(({ name }) => name)
          .join()}
      </p>
    );
  }
  await mount(
    <Realtime initialSnapshot={undefined}>
      <Names />
    </Realtime>,
    StrictMode,
  );
  expect(api.requests).toEqual(["snapshot"]);
  expect(screen.getByText("a,b")).toBeTruthy();
});

test("unmounting disconnects", async () => {
  const { unmount } = await mount(<Realtime />);
  unmount();
  expect(links[0]!.closed).toBe("leaving");
  await quiet();
  expect(links).toHaveLength(1);
});

test("another workspace is another client; the old one is closed, and nothing of it shows", async () => {
  const seen: string[] = [];
  function Name() {
    seen.push(`${useRealtime().workspace} ${useWorkspace()?.slug}`);
    const [kept] = useState(() => Math.random());
    return <p>{kept}</p>;
  }
  const at = (workspace: string) => (
    <Realtime
      workspace={workspace}
      initialSnapshot={snapshot({ workspace: { ...snapshot().workspace, slug: workspace } })}
    >
      <Name />
    </Realtime>
  );
  const { rerender, container } = await mount(at("acme"));
  const state = container.textContent;
  rerender(at("globex"));
  await quiet();
  expect(new Set(seen)).toEqual(new Set(["acme acme", "globex globex"]));
  expect(links.map(({ url, closed }) => [url.searchParams.get("workspace"), closed])).toEqual([
    ["acme", "leaving"],
    ["globex", null],
  ]);
  expect(container.textContent).toBe(state); // its children live on
});

test("other props change nothing, and onAuthRequired is always the latest", async () => {
  const asked: string[] = [];
  const at = (name: string) => <Realtime onAuthRequired={() => void asked.push(name)} openTimeoutMs={name.length * 10_000} />;
  const { rerender } = await mount(at("first"));
  rerender(at("second"));
  await quiet();
  expect(open()).toHaveLength(1);
  await act(async () => {
    links[0]!.end({ code: 4401 });
    await settled();
  });
  expect(asked).toEqual(["second"]);
});

test("a client of one's own is started and left open; what is known of it stays", async () => {
  const { createRealtime } = await import("../../src/index.js");
  const client = createRealtime(options());
  function Count() {
    return <p>{useMembers().length} members</p>;
  }
  const ui = (
    <RealtimeProvider client={client}>
      <Count />
    </RealtimeProvider>
  );
  const { unmount } = await mount(ui, StrictMode);
  expect(client.status).toBe("live");
  unmount();
  await receive(events.joined(11, member("c")));
  render(ui);
  expect(screen.getByText("3 members")).toBeTruthy();
  await quiet();
  expect(open()).toHaveLength(1);
  expect(api.requests).toEqual(["snapshot"]);
  client.close();
});

test("hooks without a provider say what is missing", () => {
  const error = vi.spyOn(console, "error").mockImplementation(() => {});
  expect(() => renderHook(() => useMembers())).toThrow(/no <RealtimeProvider>/);
  error.mockRestore();
});

test("lists are sorted by name, and stay the same while nothing changes", async () => {
  const { result, rerender } = await hook(() => ({
    members: useMembers(),
    roles: useRoles(),
    teams: useTeams(),
    rooms: useRooms(),
  }));
  const before = result.current;
  rerender();
  for (const key of ["members", "roles", "teams", "rooms"] as const) expect(result.current[key]).toBe(before[key]);
  await receive(
    events.joined(11, member("z", 1, "Änne 10")),
    events.joined(12, member("y", 1, "Änne 9")),
    events.joined(13, member("x", 1, "b")),
  );
  expect(result.current.members.map(({ id }) => id)).toEqual(["a", "y", "z", "b", "x", "mem_1"]);
  expect(result.current.roles).toBe(before.roles);
});

test("what each hook reads", async () => {
  const { result } = await hook(() => ({
    workspace: useWorkspace()?.slug,
    me: useMe()?.id,
    member: useMember("b")?.id,
    role: useRole("owner")?.id,
    team: useTeam("none"),
    unknown: useMember(undefined),
    seats: useSubscription()?.seats,
    online: usePresence("a"),
    nobody: usePresence(undefined),
    everybody: usePresence(),
    stale: useStale("b"),
    connection: useConnection(),
  }));
  expect(result.current).toEqual({
    workspace: "acme",
    me: "mem_1",
    member: "b",
    role: "owner",
    team: undefined,
    unknown: undefined,
    seats: 25,
    online: true,
    nobody: false,
    everybody: new Set(["a"]),
    stale: undefined,
    connection: { status: "live", transport: "fake", delayMs: null, reason: null, position: "e-10" },
  });
  await receive(events.online("a", false), events.stale(12, "b"));
  expect(result.current).toMatchObject({ online: false, stale: { kind: "member", cause: "cause-12" } });
});

test("a selector on the connection spares the renders of positions", async () => {
  let renders = 0;
  await hook(() => {
    renders++;
    return useConnection((connection) => connection.status);
  });
  renders = 0;
  await receive({ type: "system.heartbeat", id: "e-40" }, { type: "system.heartbeat", id: "e-41" });
  expect(renders).toBe(0);
});

test("a room: opened while mounted, shared, with its messages and older ones", async () => {
  api.messages = Array.from({ length: 60 }, (_, i) => message(i + 1));
  const { result, rerender } = renderHook(({ id }) => ({ one: useRoom(id), other: useRoom("r") }), {
    initialProps: { id: "r" as string | null },
    wrapper: ({ children }) => <Realtime>{children}</Realtime>,
  });
  expect(result.current.one).toMatchObject({ status: "loading", room: { id: "r" }, messages: [] });
  await quiet();
  act(() => links[0]!.live());
  await quiet();
  expect(result.current.one.status).toBe("ready");
  expect(result.current.one.messages).toHaveLength(50);
  const { loadMore } = result.current.one;
  await act(() => loadMore());
  await receive(events.posted(11, message(61)));
  expect(result.current.one.messages.map(({ body }) => body)).toEqual(
    Array.from({ length: 61 }, (_, i) => `message ${i + 1}`),
  );
  expect(result.current.one.loadMore).toBe(loadMore);
  expect(result.current.other.messages).toBe(result.current.one.messages);
  expect(api.requests).toHaveLength(2);
  rerender({ id: null });
  await quiet();
  expect(result.current.one).toMatchObject({ status: "loading", room: undefined });
  expect(result.current.other.messages).toHaveLength(61); // the other is still in it
});

test("a message renders the readers of its room only", async () => {
  let renders = 0;
  function Other() {
    renders++;
    return <p>{useRoom("other").messages.length}</p>;
  }
  function This() {
    return <p>{useRoom("r").messages.at(-1)?.body}</p>;
  }
  await mount(
    <Realtime initialSnapshot={snapshot({ rooms: [room("r"), room("other")] })}>
      <This />
      <Other />
    </Realtime>,
  );
  grantRooms(links[0]!);
  renders = 0;
  await receive(events.posted(11, message(1, 1, "hello")));
  expect(screen.getByText("hello")).toBeTruthy();
  expect(renders).toBe(0);
});

test("useServerEvent calls the latest function, and stops with its component", async () => {
  const heard: string[] = [];
  function Listener({ name }: { name: string }) {
    useServerEvent(
      "workspace.role.updated",
      ({ role }, { replayed }) => void heard.push(`${name} ${role.name} ${replayed}`),
    );
    useServerEvent("*", (event) => void heard.push(event.type));
    return null;
  }
  const at = (child: ReactNode) => <Realtime>{child}</Realtime>;
  const { rerender } = await mount(at(<Listener name="one" />));
  heard.length = 0;
  rerender(at(<Listener name="two" />));
  await receive(events.roleUpdated(11, role("owner", 2, "Boss")));
  expect(heard).toEqual(["two Boss false", "workspace.role.updated"]);
  rerender(at(null));
  await receive(events.roleUpdated(12, role("owner", 3)));
  expect(heard).toHaveLength(2);
});
