// @vitest-environment happy-dom
import { act } from "@testing-library/react";
import { Suspense, use } from "react";
import { hydrateRoot } from "react-dom/client";
import { expect, test, vi } from "vitest";
import { createRealtime } from "../../src/index.js";
import { RealtimeProvider, useMember, useMembers } from "../../src/react/index.js";
import { settled } from "../support/clock.js";
import { harness } from "../support/harness.js";
import { events, member, snapshot } from "../support/state.js";

test("a part that is hydrated late agrees with the server's markup, then shows what is new", async () => {
  const h = harness();
  const client = h.rt satisfies ReturnType<typeof createRealtime>;
  const mismatches = vi.fn();
  let arrive = () => {};
  const code = new Promise<void>((resolve) => (arrive = resolve));
  function Late() {
    use(code);
    return <b>{useMember("a")?.name}</b>;
  }
  function Count() {
    return <i>{useMembers().length}</i>;
  }
  const container = document.createElement("div");
  container.innerHTML = "<i>2</i><!--$--><b>a</b><!--/$-->";
  await act(async () => {
    hydrateRoot(
      container,
      <RealtimeProvider client={client} initialSnapshot={snapshot()}>
        <Count />
        <Suspense fallback="…">
          <Late />
        </Suspense>
      </RealtimeProvider>,
      { onRecoverableError: mismatches },
    );
    await settled();
  });
  await act(async () => {
    h.link.live();
    h.link.receive(events.updated(11, member("a", 2, "Ann")), events.joined(12, member("c")));
    await settled();
  });
  expect(container.textContent).toBe("3a"); // the part that is still the server's
  await act(async () => {
    arrive();
    await settled();
  });
  expect(container.textContent).toBe("3Ann");
  expect(mismatches).not.toHaveBeenCalled();
});
