import { afterEach, expect, test, vi } from "vitest";
import { createRealtime, type RealtimeOptions } from "../src/index.js";

afterEach(() => vi.unstubAllGlobals());

async function requested(path: string, options: Partial<RealtimeOptions> = {}): Promise<string> {
  let url = "";
  const fetch = async (input: RequestInfo | URL) => {
    url = String(input);
    return new Response();
  };
  await createRealtime({ workspace: "acme", fetch, ...options }).request(path);
  return url;
}

test("where requests go: with and without a slash, a base path, or a page", async () => {
  const baseUrl = "https://orbit.test";
  expect(await requested("members/m", { baseUrl })).toBe("https://orbit.test/v1/workspaces/acme/members/m");
  expect(await requested("/members/m?x=1", { baseUrl })).toBe("https://orbit.test/v1/workspaces/acme/members/m?x=1");
  expect(await requested("", { baseUrl: `${baseUrl}/base/` })).toBe("https://orbit.test/base/v1/workspaces/acme");
  vi.stubGlobal("location", new URL("https://page.test/app/deep"));
  expect(await requested("")).toBe("https://page.test/v1/workspaces/acme");
  expect(await requested("", { baseUrl: "/orbit" })).toBe("https://page.test/orbit/v1/workspaces/acme");
});

test("what can't work says so at once", () => {
  expect(() => createRealtime({ workspace: "acme" })).toThrow("isn't a full address");
  expect(() => createRealtime({ workspace: "acme", baseUrl: "/orbit" })).toThrow("isn't a full address");
  expect(() => createRealtime({ workspace: "", baseUrl: "https://orbit.test" })).toThrow("no workspace");
});
