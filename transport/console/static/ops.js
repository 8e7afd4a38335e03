// What the console's pages do beyond htmx: everything works without it, a
// little less comfortably.
(() => {
  "use strict";

  // "/" goes to the search field, as people expect.
  document.addEventListener("keydown", (e) => {
    const typing = /^(input|select|textarea)$/i.test(e.target.tagName);
    if (e.key !== "/" || typing || e.ctrlKey || e.metaKey || e.altKey) return;
    const search = document.querySelector("input[type=search]");
    if (search) {
      e.preventDefault();
      search.focus();
      search.select();
    }
  });

  // Picking messages: how many, all of the page at once, shift for a range.
  let last = null;
  const boxes = () => [...document.querySelectorAll("#pick input[name=id]")];
  const tell = () => {
    const bar = document.querySelector("[data-picked]");
    if (!bar) return;
    const all = boxes();
    const picked = all.filter((b) => b.checked).length;
    bar.querySelector("[data-count]").textContent = picked ? `${picked} selected` : "select the page";
    const every = bar.querySelector("[data-all]");
    every.checked = picked > 0 && picked === all.length;
    every.indeterminate = picked > 0 && picked < all.length;
    for (const b of bar.querySelectorAll("button")) b.disabled = picked === 0;
  };
  document.addEventListener("click", (e) => {
    if (!e.target.matches("#pick input[name=id]")) return;
    const all = boxes();
    if (e.shiftKey && last && all.includes(last)) {
      const [from, to] = [all.indexOf(last), all.indexOf(e.target)].sort((a, b) => a - b);
      for (const b of all.slice(from, to + 1)) b.checked = e.target.checked;
    }
    last = e.target;
    tell();
  });
  document.addEventListener("change", (e) => {
    if (e.target.matches("[data-all]")) for (const b of boxes()) b.checked = e.target.checked;
    tell();
  });
  document.addEventListener("htmx:afterSettle", tell);
  tell();

  // A page that stopped being live says so.
  const live = (on) => document.documentElement.classList.toggle("stale", !on);
  document.addEventListener("htmx:sseOpen", () => live(true));
  document.addEventListener("htmx:sseError", () => live(false));
  document.addEventListener("htmx:sseClose", () => live(false));

  // The badge is grey when nothing is open.
  document.addEventListener("htmx:sseMessage", (e) => {
    if (e.detail?.type !== "poison") return;
    for (const b of document.querySelectorAll(".badge")) b.classList.toggle("none", b.textContent.trim() === "0");
  });

  // A click next to an open menu closes it, and so does Escape.
  const close = (except) => {
    for (const m of document.querySelectorAll("details.menu[open]")) if (!m.contains(except)) m.open = false;
  };
  document.addEventListener("click", (e) => close(e.target));
  document.addEventListener("keydown", (e) => {
    if (e.key !== "Escape") return;
    const menu = e.target.closest?.("details.menu[open]");
    close(null);
    menu?.querySelector("summary").focus();
  });

  // A form that was sent is not sent twice.
  document.addEventListener("submit", (e) => {
    if (e.target.method !== "post") return;
    for (const b of e.target.querySelectorAll("button")) setTimeout(() => (b.disabled = true));
  });
  addEventListener("pageshow", (e) => {
    if (e.persisted) for (const b of document.querySelectorAll("form[method=post] button")) b.disabled = false;
  });
})();
