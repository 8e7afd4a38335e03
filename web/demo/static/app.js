// The demo: state that only server events change, and commands that only ask.
// A command's answer is not applied; the page waits for the event like every
// other tab does.

import { Connection } from "./connection.js";
import { subject } from "./subject.js";
import { View } from "./view.js";

const query = new URLSearchParams(location.search);
const slug = query.get("workspace") ?? "acme";
const base = `/v1/workspaces/${encodeURIComponent(slug)}`;
const otherTabs = new BroadcastChannel("orbit-demo");
const MAX_LOG = 100;

const state = {
  me: null, // member id
  workspace: null,
  subscription: null,
  members: new Map(),
  roles: new Map(),
  teams: new Map(),
  rooms: new Map(),
  messages: new Map(),
  online: new Set(),
  log: [], // newest first
  seen: 0, // events of any kind
  live: 0, // those from the log, as they happened
  replayed: 0, // and those that happened before
  latencies: [],
  position: null,
};

/**
 * Keeps the newest version of an entity. An older or equal one is ignored, so
 * applying an event twice, or late, is harmless. A tombstone is one more
 * version, which says "gone", and stays to hold off late events.
 */
function put(map, entity, gone = false) {
  if (map.get(entity.id)?.version >= entity.version) return;
  map.set(entity.id, gone ? { ...entity, gone } : entity);
}

function newer(have, entity) {
  return have && have.version >= entity.version ? have : entity;
}

/** The whole client: one case per server event. */
function applyServerEvent(event) {
  switch (event.type) {
    case "workspace.updated":
      state.workspace = newer(state.workspace, event.workspace);
      return;
    case "workspace.member.joined":
    case "workspace.member.updated":
    case "workspace.member.role_changed":
      put(state.members, event.member);
      return;
    case "workspace.member.removed":
      put(state.members, event.member, true);
      return;
    case "workspace.role.created":
    case "workspace.role.updated":
      put(state.roles, event.role);
      return;
    case "workspace.role.deleted":
      put(state.roles, event.role, true);
      return;
    case "workspace.team.created":
    case "workspace.team.updated":
    case "workspace.team.member.added":
    case "workspace.team.member.removed":
      put(state.teams, event.team);
      return;
    case "workspace.team.deleted":
      put(state.teams, event.team, true);
      return;
    case "workspace.subscription.updated":
      state.subscription = newer(state.subscription, event.subscription);
      return;
    case "room.created":
      put(state.rooms, event.room);
      connection.subscribe(event.room.id);
      return;
    case "room.updated":
      put(state.rooms, event.room);
      return;
    case "room.deleted":
      put(state.rooms, event.room, true);
      connection.unsubscribe(event.room.id);
      return;
    case "room.message.posted":
    case "room.message.edited":
      put(state.messages, event.message);
      return;
    case "room.message.deleted":
      put(state.messages, event.message, true);
      return;
    case "member.notification":
      view.toast(event.notification.title, event.notification.body);
      return;
    case "presence.update":
      event.online ? state.online.add(event.memberId) : state.online.delete(event.memberId);
      return;
    case "system.hello":
      state.online = new Set(event.presence);
      return;
    case "system.error":
      view.toast("The server refused a message", event.message, true);
      return;
    case "system.stale":
      view.toast("Out of date", `The last change of ${event.aggregate} could not be shown yet.`, true);
      return;
    case "system.healed":
      view.toast("Up to date again", event.aggregate);
      return;
    case "system.outdated":
      view.toast("A newer version is out", "Reload this page when it suits you.");
      return;
    case "system.live": // these are the connection's business
    case "system.heartbeat":
    case "system.resync":
    case "system.goodbye":
    case "system.subscribed":
    case "system.unsubscribed":
      return;
    default:
      console.warn("unknown server event", event);
  }
}

/** Replaces everything by the server's snapshot and returns its position. */
async function hydrate() {
  const { answer } = await request("GET", `${base}/snapshot`);
  const byId = (list) => new Map(list.map((entity) => [entity.id, entity]));
  state.me = answer.me.memberId;
  state.workspace = answer.workspace;
  state.subscription = answer.subscription;
  state.members = byId(answer.members);
  state.roles = byId(answer.roles);
  state.teams = byId(answer.teams);
  state.rooms = byId(answer.rooms);
  state.messages = new Map();
  state.online = new Set(answer.presence);
  view.show("board");
  view.draw();
  loadMessages(view.room);
  return answer.position;
}

/** History comes by request, everything after it by event; versions make them meet. */
async function loadMessages(room) {
  if (!room) return;
  try {
    const { answer } = await request("GET", `${base}/rooms/${room}/messages`);
    for (const message of answer.messages) put(state.messages, message);
  } catch (problem) {
    view.toast("No messages", problem.message, true);
  }
  view.draw();
}

const connection = new Connection({
  workspace: slug,
  hydrate,
  rooms: () => [...state.rooms.values()].filter((room) => !room.gone).map((room) => room.id),
  onEvent(event, replayed) {
    const about = subject(event, state);
    applyServerEvent(event);
    record(event, replayed, about);
    view.draw();
  },
  onState(name, detail) {
    view.connection(name, connection.transport, detail);
    if (name === "ended" && detail.code === 4401) choose();
    if (name === "ended" && detail.code === 4403) choose(`This user is not a member of ${slug}, or not any more.`);
  },
});

// ---- the event log and its figures ----

const mine = new Map(); // event id → when this tab pressed the button

function record(event, replayed, about) {
  const entry = { ...event, about, key: ++state.seen, seenAt: Date.now(), replayed };
  if (event.at) {
    state[replayed ? "replayed" : "live"]++;
    if (!replayed) {
      entry.latency = Math.max(0, entry.seenAt - Date.parse(event.at));
      state.latencies = [entry.latency, ...state.latencies.slice(0, MAX_LOG - 1)];
    }
  }
  state.position = connection.position;
  if (event.type === "system.heartbeat") return; // moves the position, tells nothing else
  state.log = [entry, ...state.log.slice(0, MAX_LOG - 1)];
  markMine(event.cause);
}

/** The answer of a command and its event race each other; whoever is second marks the line. */
function markMine(eventId) {
  const entry = state.log.find((e) => e.cause && e.cause === eventId);
  if (!entry || !mine.has(eventId)) return;
  entry.roundTrip = Math.max(0, entry.seenAt - mine.get(eventId));
  mine.delete(eventId);
}

// ---- requests ----

/** status 0: no answer at all. */
class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function request(method, path, body) {
  const response = await fetch(path, {
    method,
    cache: "no-store",
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body && JSON.stringify(body),
  }).catch(() => {
    throw new Problem(0, "The server can't be reached.");
  });
  const answer = await response.json().catch(() => null); // 204 has no body
  if (!response.ok) throw new Problem(response.status, answer?.detail || answer?.title || `status ${response.status}`);
  return { answer, eventId: response.headers.get("Orbit-Event-Id") };
}

/** Resolves with whether the server took it. */
async function command(method, path, body) {
  const pressedAt = Date.now();
  try {
    const { eventId } = await request(method, base + path, body);
    if (eventId) mine.set(eventId, pressedAt);
    markMine(eventId);
  } catch (problem) {
    if (problem.status === 401) choose();
    if (problem.status === 0) view.toast("Not sent: the server can't be reached", "", true);
    else view.toast("Refused", problem.message, true);
    view.draw(true);
    return false;
  }
  view.draw();
  return true;
}

// ---- who are you ----

function choose(reason) {
  connection.stop();
  view.chooser(reason);
}

async function signIn(user) {
  try {
    await request("POST", "/v1/demo/login", { user });
  } catch (problem) {
    const missing = problem.status === 404 || problem.status === 405;
    view.chooser(missing ? "This server runs without --demo, so it has no demo users to offer." : problem.message);
    return;
  }
  otherTabs.postMessage("user changed"); // the cookie is theirs too
  query.delete("as");
  location.search = query;
}

otherTabs.onmessage = () => location.reload();

const view = new View(state, {
  secondTab: `/?${new URLSearchParams({ workspace: slug })}`,
  command,
  signIn,
  choose,
  openRoom: loadMessages,
  switchTransport: () => connection.switchTransport(),
});

if (query.has("as")) {
  await signIn(query.get("as"));
} else {
  try {
    await request("GET", "/v1/me");
    connection.run();
  } catch (problem) {
    view.chooser(problem.status === 401 ? undefined : problem.message);
  }
}
