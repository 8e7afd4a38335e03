// What the compiler promises: the README's code is right, and an event of the
// catalog that nothing handles is an error.
import { readFileSync } from "node:fs";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { compile } from "./support/compile.js";

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");

test("every piece of code in the README compiles, as a bundler's user has it", () => {
  const blocks = [...read("README.md").matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, code]) => ({
    language: language!,
    code: code!,
  }));
  const code = blocks.filter(({ language }) => ["ts", "tsx"].includes(language));
  expect(code.length).toBeGreaterThan(8);
  expect(blocks.filter(({ language }) => !["ts", "tsx", "sh"].includes(language))).toEqual([]);

  // A block whose first line says where it belongs is found there by the others.
  const files = Object.fromEntries(
    code.map(({ language, code }, i) => {
      const named = /^\/\/ (?:src\/)?(\S+\.tsx?)\n/.exec(code)?.[1];
      return [`readme/${named ?? `${i}.${language}`}`, code];
    }),
  );
  expect(Object.keys(files)).toContain("readme/sign-in.ts");
  const errors = compile(files, {
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    types: [],
    baseUrl: new URL("..", import.meta.url).pathname,
    paths: {
      "@orbit/realtime": ["src/index.ts"],
      "@orbit/realtime/*": ["src/*/index.ts"],
    },
  });
  expect(errors).toEqual([]);
}, 180_000);

describe("an event that is added to the catalog", () => {
  const events = read("src/generated/events.ts");
  const added = events.replace(
    "export interface ServerEventMap {",
    `export interface WorkspacePaintedEvent extends LogEnvelope { readonly type: "workspace.painted" }
     export interface ServerEventMap { "workspace.painted": WorkspacePaintedEvent;`,
  );
  const apply = read("src/stores/apply.ts");
  const applied = apply.replace('case "system.live":', 'case "workspace.painted": case "system.live":');

  test("and has no case in the stores is an error there, and nowhere else", () => {
    expect(added).not.toBe(events);
    const errors = compile({ "src/generated/events.ts": added, "src/stores/apply.ts": apply });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(/^src\/stores\/apply\.ts:\d+ .*WorkspacePaintedEvent.*never/);
  }, 180_000);

  test("and gets one is none", () => {
    expect(compile({ "src/generated/events.ts": added, "src/stores/apply.ts": applied })).toEqual([]);
  }, 180_000);

  test("that is taken out again leaves a case that is an error", () => {
    expect(compile({ "src/stores/apply.ts": applied }).join()).toMatch(/workspace\.painted/);
  }, 180_000);
});
