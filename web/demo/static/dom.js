// The page's building blocks: elements, lists that survive a redraw, menus and
// the fields of dialogs.

export const $ = (id) => document.getElementById(id);

/** el("button", {onclick}, "text", child…): properties, not attributes. */
export function el(tag, props = {}, ...children) {
  const { dataset, ...rest } = props;
  const node = Object.assign(document.createElement(tag), rest);
  Object.assign(node.dataset, dataset);
  node.append(...children);
  return node;
}

/**
 * Keeps one element per item, so that focus, open menus and half-typed text
 * survive a redraw; a row whose version changed flashes.
 */
export function rows(parent, items, create, update) {
  const old = new Map([...parent.children].map((row) => [row.dataset.key, row]));
  let next = parent.firstElementChild;
  for (const item of items) {
    const key = String(item.key ?? item.id);
    const row = old.get(key) ?? create(item);
    const isNew = !old.delete(key);
    row.dataset.key = key;
    update(row, item);
    row.querySelector("details.menu")?.refresh();
    if (row === next) next = next.nextElementSibling;
    else parent.insertBefore(row, next);
    const changed = isNew ? parent.dataset.drawn : row.dataset.version !== String(item.version);
    if (changed && item.version) flash(row);
    row.dataset.version = item.version;
  }
  for (const row of old.values()) row.remove();
  if (items.length) parent.dataset.drawn = "yes";
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");

function flash(row) {
  if (calm.matches) return;
  row.animate([{ backgroundColor: "var(--flash)" }, { backgroundColor: "transparent" }], 1600);
}

/** Text that may be cut at the edge: the tooltip has all of it. */
export const clipped = (node, text) => { node.textContent = node.title = text; };

/**
 * A small menu. actions() lists what may be done now, [["Rename", fn], …], with
 * false for what may not, or is false; a menu of nothing hides.
 */
export function menu(label, actions) {
  const list = el("div");
  const details = el("details", { className: "menu" }, el("summary", { ariaLabel: `Actions for ${label}` }, "⋯"), list);
  const allowed = () => (actions() || []).filter(Boolean);
  details.ontoggle = () => list.replaceChildren(...allowed().map(([text, run]) => el("button", {
    type: "button",
    className: removes(text) ? "danger" : "",
    onclick: () => { details.open = false; run(); },
  }, text)));
  details.refresh = () => { details.hidden = !allowed().length; };
  return details;
}

/** Whether the word stands for what can't be taken back. */
export const removes = (word) => ["Remove", "Leave", "Delete"].includes(word);

/** A labelled input; see View.ask. */
export function field({ name, label, value = "", type = "text", options = [] }) {
  const input = (props) => el("input", { name, ...props });
  if (type === "checks") {
    return el("fieldset", {}, el("legend", {}, label), ...options.map(([v, text]) =>
      el("label", { className: "check" }, input({ type: "checkbox", value: v, checked: value.includes(v) }), text)));
  }
  if (type === "checkbox") return el("label", { className: "check" }, input({ type, checked: Boolean(value) }), label);
  return el("label", {}, el("span", {}, label), input({ type, value, required: true, autocomplete: "off" }));
}
