// Draws the state. Nothing here changes it: buttons send commands, and what
// they lead to comes back as an event.

import { $, clipped, el, field, menu, removes, rows } from "./dom.js";
import { Permits } from "./permits.js";

const present = (map) => [...map.values()].filter((entity) => !entity.gone);
const byName = (a, b) => a.name.localeCompare(b.name);
const initials = (name) => name.split(/\s+/).map((word) => word[0]).slice(0, 2).join("").toUpperCase();
const clock = (time) => new Date(time).toLocaleTimeString([], { timeStyle: "medium", hourCycle: "h23" });

export class View {
  #room = null;
  #drawing = false;
  #force = false;

  constructor(state, actions) {
    this.state = state;
    this.may = new Permits(state);
    this.do = actions;
    this.#wire();
  }

  /** Draws once per frame, however many events came. force also takes back a choice that was refused. */
  draw(force = false) {
    this.#force ||= force;
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      if (!this.state.workspace || $("board").hidden) return;
      for (const part of ["head", "members", "plan", "roles", "teams", "rooms", "messages", "log"]) this[`_${part}`]();
      this.#force = false;
    });
  }

  show(part) {
    $("board").hidden = part !== "board";
    $("chooser").hidden = part !== "chooser";
    $("switch-user").hidden = part !== "board";
    $("transport").disabled = part !== "board";
    if (part === "board") return;
    // Nothing of a workspace one may have lost stays behind.
    $("workspace").textContent = document.title = "Orbit Realtime";
    $("rename-workspace").hidden = true;
    $("me").textContent = "";
  }

  chooser(reason) {
    if (reason) $("chooser-text").textContent = reason;
    this.show("chooser");
    this.connection("signed out");
  }

  connection(name, transport, detail) {
    const label = { ws: "WebSocket", sse: "SSE" }[transport];
    const badge = $("transport");
    badge.dataset.state = name;
    badge.textContent = {
      connecting: `${label} …`,
      live: label,
      waiting: `Reconnecting in ${((detail?.delay ?? 0) / 1000).toFixed(1)} s`,
      ended: `Closed (${detail?.code})`,
    }[name] ?? "Signed out";
  }

  toast(title, body = "", bad = false) {
    const toast = el("div", { className: bad ? "toast bad" : "toast" }, el("b", {}, title), el("span", {}, body));
    $("toasts").append(toast);
    setTimeout(() => toast.remove(), 6000);
  }

  /**
   * Asks with a dialog. fields: [{name, label, value?, type?, options?}], type
   * "checks" ticks some of options [[value, label], …]. Resolves with the
   * values, or null when cancelled.
   */
  ask(title, fields, ok = "Save") {
    $("ask-title").textContent = title;
    $("ask-ok").textContent = ok;
    $("ask-ok").className = removes(ok) ? "danger" : "primary";
    $("ask-fields").replaceChildren(...fields.map(field));
    const dialog = $("ask");
    dialog.returnValue = "cancel";
    dialog.showModal();
    const first = dialog.querySelector("input") ?? $("ask-ok");
    first.focus();
    first.select?.();
    return new Promise((resolve) => {
      dialog.onclose = () => {
        if (dialog.returnValue !== "ok") return resolve(null);
        const data = new FormData(dialog.querySelector("form"));
        resolve(Object.fromEntries(fields.map((f) => [f.name, {
          checks: () => data.getAll(f.name),
          checkbox: () => data.has(f.name),
          number: () => Number(data.get(f.name)),
        }[f.type]?.() ?? data.get(f.name)])));
      };
    });
  }

  /** Asks, and sends the answer as the command's body. */
  async #edit(title, fields, method, path, ok) {
    const body = await this.ask(title, fields, ok);
    if (body) this.do.command(method, path, fields.length ? body : undefined);
  }

  #wire() {
    const name = (value = "") => [{ name: "name", label: "Name", value }];
    const people = () => present(this.state.members).sort(byName).map((m) => [m.id, m.name]);
    $("second-tab").href = this.do.secondTab;
    $("switch-user").onclick = () => this.do.choose();
    $("transport").onclick = () => this.state.workspace && this.do.switchTransport();
    $("chooser-users").onclick = ({ target }) => {
      const user = target.closest("[data-user]")?.dataset.user;
      if (user) this.do.signIn(user);
    };
    $("ask-cancel").onclick = () => $("ask").close("cancel");
    $("rename-workspace").onclick = () =>
      this.#edit("Rename the workspace", name(this.state.workspace.name), "PATCH", "");
    $("add-member").onclick = () => this.#edit("Add a member", [
      { name: "email", label: "E-mail", type: "email" },
      { name: "name", label: "Name" },
    ], "POST", "/members", "Add");
    $("add-role").onclick = () => this.#edit("Add a role", [...name(), this.#permissions([])], "POST", "/roles", "Add");
    $("add-team").onclick = () => this.#edit("Add a team", name(), "POST", "/teams", "Add");
    $("add-room").onclick = () => this.#edit("Open a room", [
      ...name(),
      { name: "private", label: "By invitation only", type: "checkbox" },
    ], "POST", "/rooms", "Open");
    $("composer").onsubmit = async (submit) => {
      submit.preventDefault();
      const body = $("body").value.trim();
      $("body").value = "";
      if (!body || !this.room) return;
      const sent = await this.do.command("POST", `/rooms/${this.room}/messages`, { body });
      if (!sent) $("body").value ||= body;
    };
    // Menus close on a click elsewhere and on Escape.
    const closeMenus = (except) => document.querySelectorAll("details.menu[open]")
      .forEach((d) => { if (d !== except) d.open = false; });
    addEventListener("click", ({ target }) => closeMenus(target.closest("details.menu")));
    addEventListener("keydown", ({ key }) => key === "Escape" && closeMenus());
    this.people = people;
    this.name = name;
  }

  /** The choice of permissions: those that one may give, and those chosen. */
  #permissions(chosen) {
    const all = new Set(present(this.state.roles).flatMap((role) => role.permissions)
      .filter((p) => this.may.can(p) || chosen.includes(p)));
    const options = [...all].sort().map((p) => [p, p]);
    return { name: "permissions", label: "Permissions", type: "checks", value: chosen, options };
  }

  /** The id of the room shown: the one chosen while it exists, else the first, else null. */
  get room() {
    const rooms = present(this.state.rooms).sort(byName);
    return rooms.some((room) => room.id === this.#room) ? this.#room : rooms[0]?.id ?? null;
  }

  _head() {
    const { workspace, members, me } = this.state;
    $("workspace").textContent = workspace.name;
    document.title = `${workspace.name} · Orbit Realtime`;
    for (const [button, permission] of Object.entries({
      "rename-workspace": "workspace.manage",
      "add-member": "members.manage",
      "add-role": "roles.manage",
      "add-team": "teams.manage",
    })) $(button).hidden = !this.may.can(permission);
    $("me").textContent = members.get(me)?.name ?? "";
  }

  _members() {
    const members = present(this.state.members).sort(byName);
    const roles = present(this.state.roles).sort(byName);
    const online = members.filter((m) => this.state.online.has(m.id)).length;
    $("online").textContent = `${online} of ${members.length} online`;
    rows($("members"), members, (m) => el("li", { className: "member" },
      el("span", { className: "face" }),
      el("span", { className: "who" }, el("b"), el("small")),
      el("select", { onchange: ({ target }) => this.do.command("PATCH", `/members/${m.id}`, { roleId: target.value }) }),
      menu(m.name, () => [
        (this.may.isMe(m) || this.may.can("members.manage")) && ["Rename", () =>
          this.#edit("Rename a member", this.name(this.state.members.get(m.id).name), "PATCH", `/members/${m.id}`)],
        this.may.can("members.notify") && ["Notify", () => this.#edit(`Notify ${m.name}`, [
          { name: "title", label: "Title", value: "Hello" },
          { name: "body", label: "Text", value: "Somebody waves at you." },
        ], "POST", `/members/${m.id}/notifications`, "Send")],
        this.may.remove(this.state.members.get(m.id)) && (this.may.isMe(m)
          ? ["Leave", () => this.#edit("Leave the workspace?", [], "DELETE", `/members/${m.id}`, "Leave")]
          : ["Remove", () => this.#edit(`Remove ${m.name}?`, [], "DELETE", `/members/${m.id}`, "Remove")]),
      ]),
    ), (row, m) => {
      const [face, who, select] = row.children;
      const isOnline = this.state.online.has(m.id);
      face.textContent = initials(m.name);
      face.classList.toggle("online", isOnline);
      face.title = isOnline ? "online" : "offline";
      who.children[0].textContent = m.id === this.state.me ? `${m.name} (you)` : m.name;
      who.children[1].textContent = m.email;
      const mine = this.state.members.get(this.state.me);
      const stamp = `${m.version}/${mine?.roleId}/${roles.map((r) => r.id + r.version)}`;
      if (select.dataset.stamp === stamp && !this.#force) return; // don't disturb an open list
      select.dataset.stamp = stamp;
      select.ariaLabel = `Role of ${m.name}`;
      select.disabled = !this.may.changeRole(m);
      select.title = select.disabled ? "Your role doesn't allow changing this one" : "";
      select.replaceChildren(...roles.map((r) => el("option", {
        value: r.id, selected: r.id === m.roleId, disabled: r.id !== m.roleId && !this.may.give(r),
      }, r.name)));
    });
  }

  _plan() {
    const { subscription } = this.state;
    const used = present(this.state.members).length;
    rows($("subscription"), subscription ? [subscription] : [], () => el("div", {}, el("span"), el("button", {
      type: "button",
      className: "quiet",
      onclick: () => this.#edit("Change the subscription", [
        { name: "plan", label: "Plan", value: this.state.subscription.plan },
        { name: "seats", label: "Seats", type: "number", value: this.state.subscription.seats },
      ], "PATCH", "/subscription"),
    }, "Change")), (row, s) => {
      row.lastChild.hidden = !this.may.can("billing.manage");
      row.firstChild.textContent = `Plan ${s.plan}, ${s.status.replace("_", " ")} · ${used} of ${s.seats} seats`;
    });
  }

  _roles() {
    rows($("roles"), present(this.state.roles).sort(byName), (r) => el("li", {},
      el("span", { className: "who" }, el("b"), el("small")),
      r.system ? el("span", { className: "hint" }, "built in") : menu(r.name, () => this.may.can("roles.manage") && [
        ["Edit", () => {
          const now = this.state.roles.get(r.id);
          this.#edit("Edit a role", [...this.name(now.name), this.#permissions(now.permissions)], "PATCH", `/roles/${r.id}`);
        }],
        ["Delete", () => this.#edit(`Delete the role ${r.name}?`, [], "DELETE", `/roles/${r.id}`, "Delete")],
      ]),
    ), (row, r) => {
      row.firstChild.children[0].textContent = r.name;
      clipped(row.firstChild.children[1], r.permissions.join(", ") || "no permissions");
    });
  }

  _teams() {
    rows($("teams"), present(this.state.teams).sort(byName), (t) => el("li", {},
      el("span", { className: "who" }, el("b"), el("small")),
      menu(t.name, () => this.may.can("teams.manage") && [
        ["Rename", () => this.#edit("Rename a team", this.name(this.state.teams.get(t.id).name), "PATCH", `/teams/${t.id}`)],
        ["Members", () => this.#membersOf(this.state.teams.get(t.id), "teams")],
        ["Delete", () => this.#edit(`Delete the team ${t.name}?`, [], "DELETE", `/teams/${t.id}`, "Delete")],
      ]),
    ), (row, t) => {
      row.firstChild.children[0].textContent = t.name;
      clipped(row.firstChild.children[1], this.#names(t.memberIds) || "nobody yet");
    });
  }

  #names(ids) {
    return ids.map((id) => this.state.members.get(id)?.name).filter(Boolean).join(", ");
  }

  /** Ticks who is in a team or a private room; one command per difference. */
  async #membersOf(group, kind) {
    const answer = await this.ask(`Who is in ${group.name}?`, [
      { name: "ids", label: "Members", type: "checks", value: group.memberIds, options: this.people() },
    ]);
    if (!answer) return;
    for (const [id] of this.people()) {
      const is = answer.ids.includes(id);
      if (is === group.memberIds.includes(id)) continue;
      this.do.command(is ? "PUT" : "DELETE", `/${kind}/${group.id}/members/${id}`);
    }
  }

  _rooms() {
    rows($("rooms"), present(this.state.rooms).sort(byName), (r) => el("button", {
      type: "button",
      onclick: () => {
        this.#room = r.id;
        this.do.openRoom(r.id);
        this.draw();
      },
    }), (button, r) => {
      button.textContent = r.private ? `${r.name} (private)` : `# ${r.name}`;
      button.ariaPressed = r.id === this.room;
    });
    const room = this.state.rooms.get(this.room);
    $("composer").hidden = !room;
    rows($("room-tools"), room ? [room] : [], (r) => el("div", {}, el("span"), menu(r.name, () => this.may.manage(r) && [
      ["Rename", () => this.#edit("Rename a room", this.name(this.state.rooms.get(r.id).name), "PATCH", `/rooms/${r.id}`)],
      r.private && ["Members", () => this.#membersOf(this.state.rooms.get(r.id), "rooms")],
      ["Delete", () => this.#edit(`Delete the room ${r.name}?`, [], "DELETE", `/rooms/${r.id}`, "Delete")],
    ])), (row, r) => {
      row.firstChild.textContent = r.private ? this.#names(r.memberIds) : "Open to every member";
    });
  }

  _messages() {
    const list = $("messages");
    const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 40 || list.dataset.room !== this.room;
    if (list.dataset.room !== this.room) delete list.dataset.drawn;
    list.dataset.room = this.room;
    const messages = present(this.state.messages).filter((m) => m.roomId === this.room)
      .sort((a, b) => a.postedAt.localeCompare(b.postedAt) || a.id.localeCompare(b.id));
    rows(list, messages, (m) => el("li", {},
      el("div", {}, el("b"), el("time"), menu("this message", () => [
        m.authorId === this.state.me && ["Edit", () => this.#edit("Edit your message",
          [{ name: "body", label: "Message", value: this.state.messages.get(m.id).body }],
          "PATCH", `/rooms/${m.roomId}/messages/${m.id}`)],
        (m.authorId === this.state.me || this.may.can("rooms.manage")) && ["Delete", () =>
          this.#edit("Delete this message?", [], "DELETE", `/rooms/${m.roomId}/messages/${m.id}`, "Delete")],
      ])),
      el("p"),
    ), (row, m) => {
      const [head, body] = row.children;
      head.children[0].textContent = this.state.members.get(m.authorId)?.name ?? "Somebody who left";
      head.children[1].textContent = clock(m.postedAt) + (m.editedAt ? " (edited)" : "");
      body.textContent = m.body;
    });
    if (atEnd) list.scrollTop = list.scrollHeight;
  }

  _log() {
    const { live, replayed, latencies, position, log } = this.state;
    $("count-live").textContent = live;
    $("count-replayed").textContent = replayed;
    const sorted = [...latencies].sort((a, b) => a - b);
    $("median").textContent = sorted.length ? `${sorted[sorted.length >> 1]} ms` : "–";
    $("position").textContent = position ?? "–";
    rows($("log"), log, (e) => el("li", { dataset: { family: e.type.split(".")[0] } },
      el("code", {}, e.type),
      el("span", { className: "tags" }),
      el("span", { className: "about" }),
      el("small"),
    ), (row, e) => {
      row.children[1].replaceChildren(...[
        e.replayed && e.at && ["replayed", "replayed", "happened before this connection was live"],
        e.latency !== undefined && [`${e.latency} ms`, "ms", "from the commit to this tab"],
        e.roundTrip !== undefined && [`yours, ${e.roundTrip} ms`, "mine", "from the button to this line"],
      ].filter(Boolean).map(([text, className, title]) => el("span", { className, title }, text)));
      clipped(row.children[2], e.about);
      row.children[3].textContent = `${clock(e.seenAt)} ${e.id ?? ""}`;
    });
  }
}
