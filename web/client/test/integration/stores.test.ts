// The stores against the real server: whatever is done, and however often the
// server is killed, they end as the server has it.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { createRealtime, poll, sse, websocket, type Message, type Realtime, type Snapshot } from "../../src/index.js";
import { createStores, type Stores } from "../../src/stores/index.js";
import { seeded } from "../support/clock.js";
import { buildServer, Server, type Person } from "../support/server.js";

let built: ReturnType<typeof buildServer>;
let server: Server;
const open: Realtime[] = [];

beforeAll(() => void (built = buildServer()), 300_000);
afterAll(() => built?.remove());
beforeEach(async () => void (server = await Server.start(built.binary)));
afterEach(async () => {
  for (const client of open.splice(0)) client.close();
  await server.remove();
});

function page(person: Person, transport = websocket): Stores {
  const client = createRealtime({
    workspace: "acme",
    baseUrl: person.url,
    fetch: person.fetch,
    WebSocket: person.WebSocket,
    transports: [transport],
    storage: null,
  });
  open.push(client);
  const stores = createStores(client);
  client.start();
  return stores;
}

/** Waits until the expectations hold: long, for machines are slow at times. */
const eventually = (expectations: () => void | Promise<void>) =>
  vi.waitFor(expectations, { timeout: 30_000, interval: 20 });

const byId = (entities: Iterable<{ id: string }>) => [...entities].sort((a, b) => (a.id < b.id ? -1 : 1));

/** What the stores hold, in a snapshot's shape; presence and position aside, which commands don't change. */
function held(stores: Stores) {
  return {
    workspace: stores.workspaceStore.state,
    me: { memberId: stores.meStore.state },
    members: byId(stores.membersStore.state.values()),
    roles: byId(stores.rolesStore.state.values()),
    teams: byId(stores.teamsStore.state.values()),
    subscription: stores.subscriptionStore.state,
    rooms: byId(stores.roomsStore.state.values()),
    stale: [...stores.staleStore.state.values()],
  };
}

function truth({ position: _, presence: __, members, roles, teams, rooms, ...rest }: Snapshot) {
  return { ...rest, members: byId(members), roles: byId(roles), teams: byId(teams), rooms: byId(rooms) };
}

async function messagesOf(person: Person, room: string): Promise<readonly Message[]> {
  const response = await person.fetch(`${person.url}/v1/workspaces/acme/rooms/${room}/messages?limit=200`);
  return ((await response.json()) as { messages: Message[] }).messages;
}

/** Random commands. Those that a rule refuses, or that find no server, are part of the game. */
class Chaos {
  /** By path: how many were carried out. */
  readonly done = new Map<string, number>();
  #n = 0;

  constructor(
    private readonly owner: Person,
    private readonly guest: Person,
    private readonly random: () => number,
    private readonly general: string,
  ) {}

  async act(): Promise<void> {
    const { owner, guest, general } = this;
    const n = ++this.#n;
    const snapshot = await owner.snapshot();
    const pick = <T>(list: readonly T[]): T => list[Math.floor(this.random() * list.length)]!;
    const member = pick(snapshot.members);
    const role = pick(snapshot.roles);
    const team = pick(snapshot.teams);
    const message = pick(await messagesOf(owner, general));
    const room = pick(snapshot.rooms);
    const messages = `/rooms/${general}/messages`;
    const commands: [Person, string, string, object?][] = [
      [owner, "PATCH", `/members/${member.id}`, { name: `Member ${n}` }],
      // Not the owner's own: all the rest would be refused.
      ...(member.id !== snapshot.me.memberId
        ? ([[owner, "PATCH", `/members/${member.id}`, { roleId: role.id }]] satisfies [
            Person,
            string,
            string,
            object,
          ][])
        : []),
      [owner, "POST", "/roles", { name: `Role ${n}`, permissions: ["rooms.manage"] }],
      [owner, "PATCH", `/roles/${role.id}`, { name: `Role ${n}` }],
      [owner, "DELETE", `/roles/${role.id}`],
      [owner, "POST", "/teams", { name: `Team ${n}`, memberIds: [member.id] }],
      [owner, "PATCH", `/teams/${team?.id}`, { name: `Team ${n}` }],
      [owner, "PUT", `/teams/${team?.id}/members/${member.id}`],
      [owner, "DELETE", `/teams/${team?.id}/members/${member.id}`],
      [owner, "DELETE", `/teams/${team?.id}`],
      [owner, "PATCH", "", { name: `Acme ${n}` }],
      [owner, "PATCH", "/subscription", { seats: 20 + n }],
      [owner, "POST", "/rooms", { name: `Room ${n}`, private: this.random() < 0.7, memberIds: [] }],
      [owner, "PUT", `/rooms/${room?.id}/members/${member.id}`],
      [owner, "DELETE", `/rooms/${room?.id}/members/${member.id}`],
      ...(room && room.id !== general
        ? ([[owner, "DELETE", `/rooms/${room.id}`]] satisfies [Person, string, string][])
        : []),
      [owner, "POST", messages, { body: `Owner says ${n}` }],
      [guest, "POST", messages, { body: `Guest says ${n}` }],
      [guest, "POST", messages, { body: `Guest says ${n} again` }],
      [owner, "PATCH", `${messages}/${message?.id}`, { body: `Better: ${n}` }],
      [owner, "DELETE", `${messages}/${message?.id}`],
    ];
    const [person, method, path, body] = pick(commands);
    await person.command(method, `/workspaces/acme${path}`, body);
    const kind = `${method} ${path.split("/")[1] ?? ""}`;
    this.done.set(kind, (this.done.get(kind) ?? 0) + 1);
  }

  async acts(n: number): Promise<void> {
    for (let i = 0; i < n; i++) await this.act().catch(() => {});
  }
}

test.each([
  ["websocket", websocket],
  ["sse", sse],
  ["poll", poll],
])(
  "over %s: random commands, and kill -9 in between",
  async (_, transport) => {
    const owner = await server.signIn("owner");
    const guest = await server.signIn("guest");
    const general = (await guest.snapshot()).rooms.find((room) => !room.private)!.id;
    const chaos = new Chaos(owner, guest, seeded(7), general);
    // The guest looks on: rooms that the owner makes private come and go for them.
    const stores = page(guest, transport);
    stores.openRoom(general);
    let applied = 0;
    stores.client.on("*", ({ channel }) => void (applied += channel ? 1 : 0));

    for (let round = 0; round < 3; round++) {
      await chaos.acts(60);
      const inFlight = Array.from({ length: 8 }, () => chaos.acts(1)); // some commit, and nobody is told
      await server.kill();
      await Promise.all(inFlight);
      await server.start();
    }
    await chaos.acts(20);

    const { cause } = await owner.command("POST", `/workspaces/acme/rooms/${general}/messages`, { body: "The end" });
    await stores.client.until(cause);
    await eventually(async () => expect(held(stores)).toEqual(truth(await guest.snapshot())));
    await eventually(async () => {
      const { status, messages } = stores.messagesStore.state.get(general)!;
      expect(status).toBe("ready");
      const all = await messagesOf(guest, general);
      expect(messages).toEqual(all.slice(all.length - messages.length));
    });
    expect(applied).toBeGreaterThan(60);
    expect(chaos.done.size).toBeGreaterThan(10); // of 14: the game was played
  },
  120_000,
);

test("stores that were made late, and a room that was opened late, catch up", async () => {
  const owner = await server.signIn("owner");
  const { position, rooms } = await owner.snapshot();
  const room = rooms.find((r) => !r.private)!.id;
  const client = createRealtime({
    workspace: "acme",
    baseUrl: owner.url,
    fetch: owner.fetch,
    WebSocket: owner.WebSocket,
    storage: null,
    position,
  });
  open.push(client);
  client.start();
  await eventually(() => expect(client.status).toBe("live"));
  const say = (body: string) => owner.command("POST", `/workspaces/acme/rooms/${room}/messages`, { body });
  for (let i = 0; i < 60; i++) await say(`Message ${i}`);
  const stores = createStores(client);
  const lease = stores.openRoom(room);
  const saying = Promise.all(Array.from({ length: 20 }, (_, i) => say(`And ${i}`)));
  await eventually(() => expect(stores.messagesStore.state.get(room)?.status).toBe("ready"));
  await saying;
  const { cause } = await say("The end");
  await client.until(cause);
  await eventually(async () => expect(held(stores)).toEqual(truth(await owner.snapshot())));
  while (stores.messagesStore.state.get(room)!.hasMore) await lease.loadMore();
  await eventually(async () =>
    expect(stores.messagesStore.state.get(room)!.messages).toEqual(await messagesOf(owner, room)),
  );
}, 120_000);
