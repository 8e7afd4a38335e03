import { RealtimeProvider } from "@orbit/realtime/react";
import { useEffect, useState, type ReactNode } from "react";
import type { Tab } from "../Tabs.js";
import { useDemoState } from "../demo/api.js";
import type { Side as Name } from "../tally.js";
import { SideContext } from "./context.js";
import { Faults } from "./Faults.js";
import { Network } from "./network.js";
import { Pane } from "./Pane.js";
import { base, people, useSession, useSnapshot, type Person, type Session } from "./session.js";

/** How long a transport may take before the next one is tried, in milliseconds: somebody is watching. */
const OPEN_TIMEOUT_MS = 2000;

const names: Record<Person, string> = { owner: "Owner", admin: "Admin", guest: "Guest" };

/** One person: who it is, what they see, and the network between them and the server. */
export function Side({ side, tab }: { readonly side: Name; readonly tab: Tab }) {
  const { session, isPending, change, ended } = useSession(side);
  const network = useNetwork(side);
  const [status, setStatus] = useState<HTMLElement | null>(null);
  const faults = <Faults network={network} />;
  return (
    <SideContext value={side}>
      <section className="side" aria-label={`The ${side} person`}>
        <header>
          <label>
            <span className="sr">Who is on the {side}</span>
            <select
              className="person"
              value={session?.person ?? ""}
              disabled={isPending}
              onChange={({ target }) => change(target.value as Person)}
            >
              {!session && <option value="">Nobody</option>}
              {people.map((person) => (
                <option key={person} value={person}>
                  {names[person]}
                </option>
              ))}
            </select>
          </label>
          <div className="status-place" ref={setStatus} />
          {session && (
            <button type="button" className="quiet" disabled={isPending} onClick={() => change(null)}>
              Sign out
            </button>
          )}
        </header>
        {session ? (
          <Live key={session.key} {...{ side, tab, session, network, ended, status, faults }} />
        ) : (
          <>
            <div className="empty">{isPending ? "Signing in …" : <Chooser onChoose={change} />}</div>
            {faults}
          </>
        )}
      </section>
    </SideContext>
  );
}

function Chooser({ onChoose }: { readonly onChoose: (person: Person) => void }) {
  return (
    <>
      <p>Nobody is signed in here.</p>
      <div className="people">
        {people.map((person) => (
          <button key={person} type="button" onClick={() => onChoose(person)}>
            Sign in as {names[person]}
          </button>
        ))}
      </div>
    </>
  );
}

interface LiveProps {
  readonly side: Name;
  readonly tab: Tab;
  readonly session: Session;
  readonly network: Network;
  readonly ended: () => void;
  readonly status: HTMLElement | null;
  readonly faults: ReactNode;
}

/** The snapshot first, then everything that happened since. */
function Live({ side, tab, session, network, ended, status, faults }: LiveProps) {
  const { data: snapshot, again } = useSnapshot(side, session);
  if (!snapshot)
    return (
      <>
        <div className="empty">
          {snapshot === undefined ? "Loading …" : <Outsider person={session.person} onAgain={again} />}
        </div>
        {faults}
      </>
    );
  return (
    <RealtimeProvider
      workspace="acme"
      baseUrl={base(side)}
      initialSnapshot={snapshot}
      onAuthRequired={ended}
      openTimeoutMs={OPEN_TIMEOUT_MS}
      environment={network}
      storage={null} // a reload begins with WebSocket: the buttons are what changes the network
    >
      <Pane tab={tab} status={status} faults={faults} onAgain={again} />
    </RealtimeProvider>
  );
}

function Outsider({ person, onAgain }: { readonly person: Person; readonly onAgain: () => void }) {
  return (
    <>
      <p>
        {names[person]} is no member of this workspace. On the other side, under Members, “Add” makes{" "}
        <code>{person}@acme.test</code> one again.
      </p>
      <button type="button" onClick={onAgain}>
        Try again
      </button>
    </>
  );
}

/** The side's network follows the faults, whoever set them. */
function useNetwork(side: Name): Network {
  const [network] = useState(() => new Network());
  const faults = useDemoState().state?.sides[side];
  const key = faults && `${faults.plug} ${faults.websocket} ${faults.sse}`;
  useEffect(() => {
    if (key) network.changed(!key.startsWith("pulled"));
  }, [network, key]);
  return network;
}
