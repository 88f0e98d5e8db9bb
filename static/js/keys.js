// Keyboard first. Nothing fires while someone is typing.
const GO = { i: "inbox", f: "files", m: "made", t: "threads", s: "settings" };
let leading = 0;

function typing(target) {
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

function entries() {
  return [...document.querySelectorAll("#log > .entry, .list > li, .tree tr")].filter((one) => one.offsetParent);
}

function move(by) {
  const all = entries();
  if (!all.length) return;
  const from = all.findIndex((one) => one.classList.contains("here"));
  const next = all[Math.max(0, Math.min(all.length - 1, from < 0 ? (by > 0 ? 0 : all.length - 1) : from + by))];
  all[from]?.classList.remove("here");
  next.classList.add("here");
  next.tabIndex = -1;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

function open() {
  const here = document.querySelector(".here");
  (here?.querySelector("[data-pane]") || here?.querySelector(".cover, a[href]"))?.click();
}

function find() {
  const box = document.querySelector("[data-search]");
  if (box) return box.focus();
  const threads = document.querySelector("[data-go=threads]");
  if (threads) location.href = `${threads.href}#find`;
}

const ACTS = {
  "/": find,
  c: () => document.getElementById("composer-text")?.focus(),
  j: () => move(1),
  k: () => move(-1),
  o: open,
  ".": () => document.querySelector(".here .tools .button, .bar details.menu summary")?.click(),
  "?": () => document.getElementById("keys")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (typing(event.target)) return;
  if (event.timeStamp - leading < 1200 && GO[event.key]) {
    leading = 0;
    document.querySelector(`[data-go="${GO[event.key]}"]`)?.click();
    event.preventDefault();
  } else if (event.key === "g") {
    leading = event.timeStamp;
  } else if (ACTS[event.key] && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    ACTS[event.key]();
  }
});

if (location.hash === "#find") find();
