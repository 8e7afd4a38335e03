import { afterEach, expect, test, vi } from "vitest";
import type { Link, Transport } from "../../src/index.js";
import { FakeBrowser } from "../support/browser.js";
import { FakeClock } from "../support/clock.js";

afterEach(() => vi.doUnmock("../../src/shared/shared.js"));

test("a page whose build was replaced on the server can't fetch the sharing: it has a link of its own", async () => {
  vi.doMock("../../src/shared/shared.js", () => {
    throw new Error("404");
  });
  const { lazilyShared } = await import("../../src/shared/lazy.js");
  const links: { closed: boolean }[] = [];
  const inner: Transport = {
    name: "sse",
    open() {
      const link = { closed: false };
      links.push(link);
      return { close: () => void (link.closed = true) };
    },
  };
  const clock = new FakeClock();
  const transport = lazilyShared(inner, new FakeBrowser(clock).tab(), clock, 8000);
  const open = (): Link =>
    transport.open(
      { fetch, WebSocket: undefined, url: () => new URL("http://orbit.test") },
      { alive() {}, receive() {}, end() {} },
    );
  open().close(false); // before anything was fetched: it is never opened
  const link = open();
  await vi.waitFor(() => expect(links).toHaveLength(1));
  link.check?.();
  link.close(false);
  expect(links).toEqual([{ closed: true }]);
});
