import { expect } from "vitest";
import type { Seen } from "../page/tab.js";
import type { Entry } from "./log.js";

/**
 * The one measure of all tests: what a tab was given against the log. Nothing
 * lost, nothing twice, in the log's order; and nothing that the server has
 * confirmed is missing from the log.
 */
export function check(seen: readonly Seen[], log: readonly Entry[], answered: readonly string[]): void {
  const given = seen.flatMap(({ id, channel }) => (id && channel && !channel.startsWith("member:") ? [id] : []));
  const expected = log.filter(({ channel }) => !channel.startsWith("member:")).map(({ id }) => id);
  const once = new Set(given);
  const causes = new Set(log.flatMap(({ cause, causes = [] }) => [cause, ...causes]));
  const unseen = new Set(given);
  expect({
    uncommitted: answered.filter((cause) => !causes.has(cause)),
    lost: expected.filter((id) => !once.has(id)),
    twice: given.filter((id) => !unseen.delete(id)),
    outOfOrder: given.filter((id, i) => i > 0 && offsetOf(id) < offsetOf(given[i - 1]!)),
    resyncs: seen.filter(({ type }) => type === "system.resync").length,
  }).toEqual({ uncommitted: [], lost: [], twice: [], outOfOrder: [], resyncs: 0 });
}

const offsetOf = (id: string): number => Number(id.split("-")[1]);
