import { expect, test, vi } from "vitest";
import { settled } from "./support/clock.js";
import { harness } from "./support/harness.js";

function signingIn(answers: (boolean | Error)[]) {
  let asked = 0;
  const h = harness({
    onAuthRequired: async () => {
      const answer = answers[asked++];
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
  return Object.assign(h, { asked: () => asked });
}

test("whoever signs in goes on at the same position", async () => {
  const h = signingIn([true, true]);
  await h.live();
  h.link.receive({ type: "system.heartbeat", id: "e-12" });
  h.link.end({ code: 4401 });
  await settled();
  expect(h.asked()).toBe(1);
  expect(h.links).toHaveLength(2);
  expect(h.links[1]!.position).toBe("e-12");
  h.links[1]!.live();
  h.links[1]!.end({ code: 4401 }); // another time
  await settled();
  expect(h.asked()).toBe(2);
});

test("asked once: a second refusal stops", async () => {
  const h = signingIn([true]);
  h.answers.probe = 401;
  h.rt.start();
  await settled();
  h.link.end({ code: 1006 });
  await settled();
  expect(h.links).toHaveLength(2);
  h.links[1]!.end({ code: 1006 });
  await settled();
  expect(h.asked()).toBe(1);
  expect(h.rt.status).toBe("stopped");
});

test("no, and an error, stop; start() tries again. The error is shown", async () => {
  vi.stubGlobal("reportError", vi.fn());
  for (const answer of [false, new Error("the dialog broke")]) {
    const h = signingIn([answer, true]);
    await h.live();
    h.link.end({ code: 4401 });
    await settled();
    expect(h.rt.status).toBe("stopped");
    expect(h.reasons.at(-1)).toBe("unauthenticated");
    h.rt.start();
    await settled();
    h.links[1]!.end({ status: 401 });
    await settled();
    expect(h.asked()).toBe(2);
  }
  expect(vi.mocked(reportError).mock.calls).toMatchObject([[{ message: "the dialog broke" }]]);
  vi.unstubAllGlobals();
});

test("closed while somebody signs in: it stays closed", async () => {
  let signIn = (_: boolean) => {};
  const h = harness({ onAuthRequired: () => new Promise<boolean>((resolve) => (signIn = resolve)) });
  await h.live();
  h.link.end({ code: 4401 });
  await settled();
  expect(h.rt.status).toBe("waiting");
  h.rt.close();
  signIn(true);
  await settled();
  expect(h.rt.status).toBe("stopped");
  expect(h.links).toHaveLength(1);
});
