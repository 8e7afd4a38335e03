// @vitest-environment happy-dom
// React Query owns "I asked", realtime owns "it changed elsewhere".
import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { act, cleanup, render, screen, waitFor } from "@testing-library/react";
import { StrictMode } from "react";
import { afterEach, expect, test } from "vitest";
import type { Transport } from "../../src/index.js";
import { RealtimeProvider, useMembers } from "../../src/react/index.js";
import { settled } from "../support/clock.js";
import { FakeEnvironment, FakeLink } from "../support/harness.js";
import { events, FakeApi, member, snapshot } from "../support/state.js";

afterEach(cleanup);

function setUp() {
  const api = new FakeApi();
  const links: FakeLink[] = [];
  const transport: Transport = {
    name: "fake",
    open(request, sink) {
      const link = new FakeLink("fake", request, sink);
      links.push(link);
      return { close: () => void (link.closed ??= "leaving") };
    },
  };
  const queryClient = new QueryClient();
  const snapshotQuery = {
    queryKey: ["snapshot", "acme"],
    // Without its signal: with it, React Query aborts and repeats what StrictMode mounts twice.
    queryFn: async () => {
      const response = await api.fetch("http://orbit.test/v1/workspaces/acme/snapshot");
      return (await response.json()) as ReturnType<typeof snapshot>;
    },
    staleTime: Infinity,
  };
  function App() {
    const { data } = useQuery(snapshotQuery);
    if (!data) return <p>loading</p>;
    return (
      <RealtimeProvider
        workspace="acme"
        baseUrl="http://orbit.test"
        transports={[transport]}
        fetch={api.fetch}
        environment={new FakeEnvironment()}
        storage={null}
        initialSnapshot={data}
        snapshot={() => queryClient.fetchQuery({ ...snapshotQuery, staleTime: 0 })}
      >
        <Names />
      </RealtimeProvider>
    );
  }
  function Names() {
    return (
      <p>
        {useMembers()
          .map(({ name }) => name)
          .join()}
      </p>
    );
  }
  render(
    <StrictMode>
      <QueryClientProvider client={queryClient}>
        <App />
      </QueryClientProvider>
    </StrictMode>,
  );
  return { api, links, queryClient };
}

const quiet = () => act(settled);
const connected = (links: FakeLink[]) => waitFor(() => expect(links).toHaveLength(1));

test("one fetch hydrates, and the connection goes on at its position", async () => {
  const { api, links, queryClient } = setUp();
  expect(screen.getByText("loading")).toBeTruthy();
  await connected(links);
  expect(screen.getByText("a,b")).toBeTruthy();
  act(() => links[0]!.live());
  await act(async () => {
    links[0]!.receive(events.joined(11, member("c")));
    await settled();
  });
  expect(screen.getByText("a,b,c")).toBeTruthy();
  // Asked again by hand: the answer is as of then, what is shown is as of now.
  await act(() => queryClient.refetchQueries());
  expect(screen.getByText("a,b,c")).toBeTruthy();
  expect(links).toHaveLength(1);
  expect(links[0]!.position).toBe("e-10");
  expect(api.requests).toEqual(["snapshot", "snapshot"]);
});

test("the snapshot after a gap is in the query's cache too, of one fetch", async () => {
  const { api, links, queryClient } = setUp();
  await connected(links);
  act(() => links[0]!.live());
  api.snapshot = snapshot({ position: "e-90", members: [member("a"), member("d")] });
  await act(async () => {
    links[0]!.receive({ type: "system.resync", reason: "position_expired", id: "e-90" });
    await settled();
  });
  await quiet();
  expect(screen.getByText("a,d")).toBeTruthy();
  expect(queryClient.getQueryData(["snapshot", "acme"])).toMatchObject({ position: "e-90" });
  expect(api.requests).toEqual(["snapshot", "snapshot"]);
});
