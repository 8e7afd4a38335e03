import type { Member, Message, Role, Room, Snapshot } from "../../src/index.js";
import { fixtures } from "../fixtures/events.js";
import type { FakeLink } from "./harness.js";

export const member = (id: string, version = 1, name = id): Member => ({
  ...fixtures["workspace.member.joined"].member,
  id,
  version,
  name,
});

export const role = (id: string, version = 1, name = id): Role => ({
  ...fixtures["workspace.role.created"].role,
  id,
  version,
  name,
});

export const room = (id: string, version = 1, name = id): Room => ({
  ...fixtures["room.created"].room,
  id,
  version,
  name,
});

/** The nth message of room r. */
export const message = (n: number, version = 1, body = `message ${n}`): Message => ({
  id: `msg_${String(n).padStart(6, "0")}`,
  version,
  roomId: "r",
  authorId: "a",
  body,
  postedAt: new Date(Date.UTC(2026, 10, 23, 9) + n * 10).toISOString(),
  editedAt: version > 1 ? "2026-11-24T00:00:00.000Z" : null,
});

export const snapshot = (over: Partial<Snapshot> = {}): Snapshot => ({
  position: "e-10",
  workspace: fixtures["workspace.updated"].workspace,
  me: { memberId: "mem_1" }, // as a FakeLink says hello,
  members: [member("a"), member("b")],
  roles: [role("owner")],
  teams: [],
  subscription: fixtures["workspace.subscription.updated"].subscription,
  rooms: [room("r")],
  presence: ["a"],
  stale: [],
  ...over,
});

const log = (offset: number, channel: string) =>
  ({ id: `e-${offset}`, channel, cause: `cause-${offset}`, at: "2026-11-23T09:30:14.123Z" }) as const;

/** Events at a place in the log. */
export const events = {
  joined: (offset: number, member: Member) => ({
    ...log(offset, "workspace:ws_01"),
    type: "workspace.member.joined",
    member,
  }),
  updated: (offset: number, member: Member) => ({
    ...log(offset, "workspace:ws_01"),
    type: "workspace.member.updated",
    member,
  }),
  removed: (offset: number, id: string, version: number) => ({
    ...log(offset, "workspace:ws_01"),
    type: "workspace.member.removed",
    member: { id, version },
  }),
  roleUpdated: (offset: number, role: Role) => ({
    ...log(offset, "workspace:ws_01"),
    type: "workspace.role.updated",
    role,
  }),
  roomCreated: (offset: number, room: Room) => ({ ...log(offset, "workspace:ws_01"), type: "room.created", room }),
  posted: (offset: number, message: Message) => ({ ...log(offset, "room:r"), type: "room.message.posted", message }),
  edited: (offset: number, message: Message) => ({ ...log(offset, "room:r"), type: "room.message.edited", message }),
  deleted: (offset: number, { id, version }: Message) => ({
    ...log(offset, "room:r"),
    type: "room.message.deleted",
    message: { id, version: version + 1 },
  }),
  stale: (offset: number, aggregate: string) => ({
    ...log(offset, "workspace:ws_01"),
    type: "system.stale",
    kind: "member",
    aggregate,
  }),
  healed: (offset: number, aggregate: string, cause: string) => ({
    ...log(offset, "workspace:ws_01"),
    type: "system.healed",
    kind: "member",
    aggregate,
    cause,
  }),
  online: (memberId: string, online: boolean) => ({
    type: "presence.update",
    channel: "workspace:ws_01",
    memberId,
    online,
  }),
};

/** A server's endpoint for messages of room r, and its snapshot. */
export class FakeApi {
  messages: Message[] = [];
  snapshot = snapshot();
  readonly requests: string[] = [];
  /** What comes instead of an answer. */
  status = 200;
  /** Answers wait for it. */
  gate: Promise<void> = Promise.resolve();

  fetch: typeof globalThis.fetch = async (input, init) => {
    const url = new URL(String(input));
    this.requests.push(url.pathname.split("/").slice(4).join("/") + url.search);
    const answer = this.#answer(url);
    const { signal } = init ?? {};
    await Promise.race([
      this.gate,
      new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason as Error))),
    ]);
    return answer;
  };

  #answer(url: URL): Response {
    if (this.status !== 200) return new Response(null, { status: this.status });
    if (url.pathname.endsWith("/snapshot")) return Response.json(this.snapshot);
    const limit = Number(url.searchParams.get("limit"));
    const before = url.searchParams.get("before");
    const end = before
      ? Math.max(
          0,
          this.messages.findIndex(({ id }) => id === before),
        )
      : this.messages.length;
    return Response.json({ messages: this.messages.slice(Math.max(0, end - limit), end) });
  }
}

/** Answers all subscribes of a link, as a server does that has nothing to replay. */
export function grantRooms(link: FakeLink): void {
  for (const { type, room, ref } of link.sent.splice(0))
    link.receive({ type: `system.${type === "subscribe" ? "subscribed" : "unsubscribed"}`, room, ref });
}
