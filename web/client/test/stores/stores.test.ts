import { expect, test } from "vitest";
import type { Member, Role, ServerEvent, Snapshot } from "../../src/index.js";
import { createStores } from "../../src/stores/index.js";
import { settled } from "../support/clock.js";
import { harness } from "../support/harness.js";
import { fixtures } from "../fixtures/events.js";

const member = (id: string, version = 1, name = id): Member => ({
  ...fixtures["workspace.member.joined"].member,
  id,
  version,
  name,
});
const role = (id: string, version = 1, name = id): Role => ({
  ...fixtures["workspace.role.created"].role,
  id,
  version,
  name,
});
const snapshot = (over: Partial<Snapshot> = {}): Snapshot => ({
  position: "e-10",
  workspace: fixtures["workspace.updated"].workspace,
  me: { memberId: "a" },
  members: [member("a"), member("b")],
  roles: [role("r")],
  teams: [],
  subscription: fixtures["workspace.subscription.updated"].subscription,
  rooms: [],
  presence: ["a"],
  ...over,
});
const joined = (offset: number, m: Member) => ({
  ...fixtures["workspace.member.joined"],
  id: `e-${offset}`,
  member: m,
});

async function live(over: Partial<Snapshot> = {}) {
  const h = harness();
  const stores = createStores(h.rt);
  stores.hydrate(snapshot(over));
  await h.live();
  return { ...h, stores, link: h.links.at(-1)! };
}

test("a burst of events is one update, and is there when until resolves", async () => {
  const { link, stores, rt } = await live();
  let updates = 0;
  stores.membersStore.subscribe(() => void updates++);
  const events: ServerEvent[] = [];
  for (let i = 0; i < 1000; i++) events.push({ ...joined(11 + i, member(`m${i}`)), cause: `c${i}` });
  const seen = rt.until("c999").then(() => stores.membersStore.state.size);
  link.receive(...events);
  expect(await seen).toBe(1002);
  await settled();
  expect(updates).toBe(1);
});
