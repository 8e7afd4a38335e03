import { useMembers, useSubscription, useWorkspace } from "@orbit/realtime/react";
import { useCommand } from "../side/command.js";
import { usePermits } from "../side/permits.js";
import { useAsk } from "../ui/ask.js";
import { Row, StaleBadge } from "../ui/row.js";

const day = new Intl.DateTimeFormat("en", { dateStyle: "medium" });

/** The workspace itself and what it pays for. */
export function Plan() {
  const workspace = useWorkspace();
  const subscription = useSubscription();
  const seatsTaken = useMembers().length;
  const permits = usePermits();
  const command = useCommand();
  const ask = useAsk();
  if (!workspace || !subscription) return null;
  const { plan, seats, status, renewsAt } = subscription;
  const rename = async () => {
    const body = await ask("Rename the workspace", [{ name: "name", label: "Name", value: workspace.name }]);
    if (body) void command("PATCH", "", body);
  };
  const change = async () => {
    const body = await ask("Change the subscription", [
      { name: "plan", label: "Plan", value: plan },
      { name: "seats", label: "Seats", type: "number", value: seats },
    ]);
    if (body) void command("PATCH", "subscription", body);
  };
  return (
    <>
      <header>
        <h2>Plan</h2>
      </header>
      <ul className="rows">
        <Row entity={workspace}>
          <span className="who">
            <b>{workspace.name}</b>
            <small>the workspace, {workspace.slug}</small>
          </span>
          <StaleBadge id={workspace.id} />
          {permits.can("workspace.manage") && (
            <button type="button" onClick={() => void rename()}>
              Rename
            </button>
          )}
        </Row>
        <Row entity={subscription}>
          <span className="who">
            <b>
              {plan}, {status.replace("_", " ")}
            </b>
            <small>
              {seatsTaken} of {seats} seats taken, renews {day.format(new Date(renewsAt))}
            </small>
          </span>
          <StaleBadge id={subscription.id} />
          {permits.can("billing.manage") && (
            <button type="button" onClick={() => void change()}>
              Change
            </button>
          )}
        </Row>
      </ul>
    </>
  );
}
