// Entities and messages end as the server has them, whatever order and however
// often news of them come. ORBIT_RUNS sets how many random runs are made.
import { expect, test } from "vitest";
import type { Message } from "../../src/index.js";
import { Timeline } from "../../src/stores/timeline.js";
import { Versioned } from "../../src/stores/versioned.js";
import { seeded } from "../support/clock.js";
import { message } from "../support/state.js";

const RUNS = Number(process.env.ORBIT_RUNS ?? 300);

test("entities converge: in any order, any number of times", () => {
  for (let seed = 1; seed <= RUNS; seed++) {
    const random = seeded(seed);
    const pick = (n: number) => Math.floor(random() * n);
    type News = { id: string; version: number; gone: boolean };
    const news: News[] = [];
    for (const id of ["a", "b", "c"])
      for (let version = 1; version <= 1 + pick(6); version++) news.push({ id, version, gone: random() < 0.3 });
    const newest = new Map<string, News>();
    for (const one of news) newest.set(one.id, one);
    const expected = [...newest.values()].filter(({ gone }) => !gone).map(({ id, version }) => `${id}${version}`);

    const heard = [...news, ...news.filter(() => random() < 0.5)];
    for (let i = heard.length - 1; i > 0; i--) {
      const j = pick(i + 1);
      [heard[i], heard[j]] = [heard[j]!, heard[i]!];
    }
    const versioned = new Versioned<News>();
    for (const one of heard) void (one.gone ? versioned.remove(one) : versioned.put(one));
    const found = [...versioned.items.values()].map(({ id, version }) => `${id}${version}`).sort();
    expect(found, `seed ${seed}`).toEqual(expected.sort());
  }
});

/**
 * A room on a server. What happens in it is told in order, but late; a page is
 * of the moment it was read at, and later still.
 */
test("a timeline is the server's list, whatever happens while pages are on their way", async () => {
  for (let seed = 1; seed <= RUNS; seed++) {
    const random = seeded(seed);
    const pick = (n: number) => Math.floor(random() * n);
    const limit = 1 + pick(5);
    let server: Message[] = [];
    let n = 0;
    let stream: (() => void)[] = [];
    const timeline = new Timeline();

    const post = () => {
      const m = message(++n);
      server.push(m);
      stream.push(() => timeline.posted(m));
    };
    const change = () => {
      const old = server[pick(server.length)];
      if (!old) return;
      const next = { ...old, version: old.version + 1, body: `${old.body}!` };
      if (random() < 0.4) {
        server = server.filter(({ id }) => id !== old.id);
        stream.push(() => timeline.deleted({ id: old.id, version: next.version }));
      } else {
        server = server.map((m) => (m.id === old.id ? next : m));
        stream.push(() => timeline.edited(next));
      }
    };
    const read = (before?: string) => {
      const end = before
        ? Math.max(
            0,
            server.findIndex(({ id }) => id === before),
          )
        : server.length;
      const messages = server.slice(Math.max(0, end - limit), end);
      return { messages, full: messages.length === limit };
    };
    const meanwhile = () => {
      for (let i = pick(6); i > 0; i--) void (random() < 0.5 ? post() : change());
      stream.splice(0, pick(stream.length + 1)).forEach((arrive) => arrive());
    };

    for (let i = pick(20); i > 0; i--) void (random() < 0.7 ? post() : change());
    stream = []; // before we joined
    const refresh = () => {
      timeline.restart();
      const { messages, full } = read();
      meanwhile();
      timeline.firstPage(messages, full);
    };
    refresh();
    for (let i = pick(8); i > 0; i--) {
      meanwhile();
      if (random() < 0.2) {
        server = server.filter(() => random() < 0.8); // a gap: this is never told
        stream = [];
        refresh();
      } else if (timeline.hasMore) {
        const anchored = await timeline.loadMore((before) => {
          const page = read(before);
          meanwhile();
          return Promise.resolve(page);
        });
        if (!anchored) refresh();
      }
    }
    stream.splice(0).forEach((arrive) => arrive());
    // What is shown is the end of the server's list, and with all pages all of it.
    expect(timeline.list, `seed ${seed}`).toEqual(server.slice(server.length - timeline.list.length));
    for (let i = 0; timeline.hasMore; i++) {
      expect(i, `seed ${seed}: pages without end`).toBeLessThan(100);
      if (!(await timeline.loadMore((before) => Promise.resolve(read(before))))) {
        timeline.restart();
        const { messages, full } = read();
        timeline.firstPage(messages, full);
      }
    }
    expect(timeline.list, `seed ${seed}`).toEqual(server);
  }
});
