// What web/gen wrote from Go's catalog holds together: fixtures, types and
// schema say the same. (That the files are current is a test in Go.)
import { readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { beforeAll, describe, expect, test } from "vitest";
import {
  CATALOG_HASH,
  closeCodes,
  type ServerEvent,
} from "../src/generated/events.js";
import { fixtures } from "./fixtures/events.js";

const read = (path: string): string =>
  readFileSync(new URL(path, import.meta.url), "utf8");

const lines = read("fixtures/events.ndjson").trimEnd().split("\n");
const events = Object.entries<ServerEvent>(fixtures);

describe("fixtures", () => {
  test("are the bytes that Go marshals", () => {
    expect(lines.map((line): unknown => JSON.parse(line))).toEqual(
      Object.values(fixtures),
    );
  });

  test.each(events)("%s is filed under its type", (type, event) => {
    expect(event.type).toBe(type);
  });

  test("are of the catalog that the types are of", () => {
    expect(fixtures["system.hello"].catalog).toBe(CATALOG_HASH);
  });

  test("say of a close code what the table says", () => {
    const { code, reason, reconnect } = fixtures["system.goodbye"];
    expect(closeCodes[code]).toEqual({ name: reason, reconnect });
  });
});

describe("JSON Schema", () => {
  let accepts: ValidateFunction;

  beforeAll(() => {
    // Strict: a keyword that ajv doesn't know is an error, not a rule less.
    const ajv = new Ajv2020({
      strict: true,
      strictRequired: true,
      formats: { "date-time": true }, // the pattern beside it is narrower
    });
    accepts = ajv.compile(
      JSON.parse(read("../schema/server-event.schema.json")) as object,
    );
  });

  test.each(events)("accepts %s", (_, event) => {
    accepts(event);
    expect(accepts.errors).toBeNull();
  });

  test("accepts what a newer server may add", () => {
    expect(accepts({ ...fixtures["system.live"], mood: "good" })).toBe(true);
  });

  // Every field of every fixture is taken away in turn, at any depth. Few may
  // be missing; a schema that forgets to require the rest is found out.
  const optional = new Set(["ref", "reason"]);
  const optionalHere = (event: ServerEvent, key: string): boolean =>
    (optional.has(key) && event.type.endsWith("subscribed")) ||
    (key === "ref" && event.type === "system.error");

  test.each(events)("refuses %s without a field it needs", (_, event) => {
    for (const path of paths(event)) {
      const broken = structuredClone<unknown>(event) as Json;
      const [parent, key] = locate(broken, path);
      delete parent[key];
      expect(accepts(broken), `without ${path.join(".")}`).toBe(
        path.length === 1 && optionalHere(event, key),
      );
    }
  });

  test.each(events)("refuses %s with a field of another type", (_, event) => {
    for (const path of paths(event)) {
      const broken = structuredClone<unknown>(event) as Json;
      const [parent, key] = locate(broken, path);
      parent[key] = { not: "what it was" };
      expect(accepts(broken), path.join(".")).toBe(false);
    }
  });

  test.each<[string, unknown]>([
    ["an unknown type", { ...fixtures["system.live"], type: "system.gone" }],
    ["no object", []],
    [
      "a position without offset",
      { ...fixtures["system.heartbeat"], id: "k3f9abcd" },
    ],
    [
      "a channel of no kind",
      { ...fixtures["presence.update"], channel: "planet:earth" },
    ],
    [
      "a time without milliseconds",
      { ...fixtures["workspace.updated"], at: "2026-11-23T09:30:14Z" },
    ],
    [
      "an undeclared value",
      { ...fixtures["system.resync"], reason: "because" },
    ],
    [
      "null where it may only be absent",
      { ...fixtures["system.subscribed"], ref: null },
    ],
    ["a fraction", { ...fixtures["system.goodbye"], delayMs: 1.5 }],
  ])("refuses %s", (_, broken) => {
    expect(accepts(broken)).toBe(false);
  });
});

type Json = { [key: string]: unknown };

/** The path of every field of an object, at any depth. */
function paths(value: unknown, path: readonly string[] = []): string[][] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return [];
  }
  return Object.entries(value).flatMap(([key, inner]) => [
    [...path, key],
    ...paths(inner, [...path, key]),
  ]);
}

/** The object that holds the field at path, and the field's name. */
function locate(root: Json, path: readonly string[]): [Json, string] {
  const key = path.at(-1)!;
  const parent = path
    .slice(0, -1)
    .reduce((object, name) => object[name] as Json, root);
  return [parent, key];
}
