import { beforeEach, expect, test } from "vitest";
import { QUIET_MS, Tally } from "../src/tally.js";

let now = 0;
let tally: Tally;

beforeEach(() => {
  now = 0;
  tally = new Tally(
    () => now,
    (fn) => fn(),
  );
  tally.enter("left");
  tally.enter("right");
  tally.live("left", true);
  tally.live("right", true);
});

const event = (cause: string, more = {}) => ({ type: "workspace.updated", channel: "workspace:w", cause, ...more });
const zero = { due: 0, received: 0, inFlight: 0, held: 0, lost: 0, twice: 0 };

test("what is sent is in flight until each side has it", () => {
  tally.sent("a");
  expect(tally.totals).toEqual({
    sent: 1,
    inFlight: 1, // one change, on its way to two
    held: 0,
    left: { ...zero, due: 1, inFlight: 1 },
    right: { ...zero, due: 1, inFlight: 1 },
  });
  tally.arrived("left", event("a"));
  tally.arrived("right", event("a"));
  const received = { ...zero, due: 1, received: 1 };
  expect(tally.totals).toEqual({ sent: 1, inFlight: 0, held: 0, left: received, right: received });
});

test("an event may come before the command's answer", () => {
  tally.arrived("left", event("a"));
  tally.sent("a");
  expect(tally.totals.left).toEqual({ ...zero, due: 1, received: 1 });
  expect(tally.totals.sent).toBe(1);
});

test("a change made elsewhere is owed to the other side as well", () => {
  tally.arrived("left", event("curl"));
  expect(tally.totals.right.inFlight).toBe(1);
  tally.arrived("left", event("secret", { channel: "room:private" }));
  expect(tally.totals.right.inFlight).toBe(1);
});

test("the same delivery again counts twice; another event of the same cause doesn't", () => {
  tally.arrived("left", event("a"));
  tally.arrived("left", event("a", { type: "room.created", channel: "member:m" }));
  expect(tally.totals.left.twice).toBe(0);
  tally.arrived("left", event("a"));
  expect(tally.totals.left).toEqual({ ...zero, due: 1, received: 1, twice: 1 });
});

test("what doesn't come is lost, but only where it could have come", () => {
  tally.sent("a");
  tally.arrived("left", event("a"));
  now = QUIET_MS;
  tally.judge(false); // the server still has work
  expect(tally.totals.right.lost).toBe(0);
  tally.live("right", false);
  tally.judge(true); // the side is not live
  expect(tally.totals.right.lost).toBe(0);
  tally.live("right", true);
  now += QUIET_MS - 1;
  tally.judge(true); // it is, but not for long
  expect(tally.totals.right.lost).toBe(0);
  now += 1;
  tally.judge(true);
  expect(tally.totals.right).toEqual({ ...zero, due: 1, lost: 1 });
  expect(tally.totals.left.lost).toBe(0);
  tally.arrived("right", event("a")); // late is not lost
  expect(tally.totals.right).toEqual({ ...zero, due: 1, received: 1 });
});

test("what is poisoned is held, until it is mended or made up for", () => {
  tally.sent("a");
  tally.sent("b");
  for (const cause of ["a", "b"]) tally.arrived("left", event(cause, { type: "system.stale", aggregate: "mem_1" }));
  now = 2 * QUIET_MS;
  tally.judge(true);
  expect(tally.totals.left).toEqual({ ...zero, due: 2, held: 2 });
  expect(tally.totals.held).toBe(2);
  tally.arrived("left", event("b"));
  expect(tally.totals.left).toEqual({ ...zero, due: 2, held: 1, received: 1 });
  tally.arrived("left", event("a", { type: "system.healed", aggregate: "mem_1" }));
  expect(tally.totals.left).toEqual({ ...zero, due: 2, received: 2 });
});

test("a snapshot covers what was on its way", () => {
  tally.sent("a");
  tally.covered("right");
  tally.arrived("right", event("a")); // and after all
  expect(tally.totals.right).toEqual({ ...zero, due: 1, received: 1 });
});

test("nothing is owed to whoever left", () => {
  tally.sent("a");
  tally.leave("right");
  tally.sent("b");
  expect(tally.totals.right).toEqual(zero);
  tally.enter("right");
  tally.sent("c");
  expect(tally.totals.right).toEqual({ ...zero, due: 1, inFlight: 1 });
});
