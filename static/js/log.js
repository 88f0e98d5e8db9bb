// How entries sit together: one author's consecutive entries join, machinery folds, days are named.
const LOG = document.getElementById("log");
const JOIN_WITHIN = 10 * 60 * 1000;
const PILE = 4;
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

function at(entry) {
  return new Date(entry.dataset.at || 0);
}

function join(entry, before) {
  const same = before?.matches(".entry") && entry.matches(".entry") && before.dataset.author === entry.dataset.author;
  entry.classList.toggle("joined", Boolean(same && at(entry) - at(before) < JOIN_WITHIN));
}

function separate(entry, before) {
  if (!entry.dataset.at || !before?.dataset.at || at(before).toDateString() === at(entry).toDateString()) return;
  const line = document.createElement("div");
  line.className = "day";
  line.textContent = day.format(at(entry));
  line.dataset.at = entry.dataset.at;
  entry.before(line);
}

function pile() {
  let run = [];
  const close = () => {
    if (run.length >= PILE) {
      const box = document.createElement("details");
      box.className = "notes";
      box.dataset.at = run[0].dataset.at;
      const summary = document.createElement("summary");
      summary.textContent = `${run.length} system entries`;
      run[0].before(box);
      box.append(summary, ...run);
    }
    run = [];
  };
  for (const child of [...LOG.children]) child.matches(".note") ? run.push(child) : close();
  if (run.length < LOG.children.length) close();
}

function settle() {
  if (!LOG) return;
  LOG.querySelectorAll(":scope > .day").forEach((line) => line.remove());
  let before = null;
  for (const child of [...LOG.children]) {
    if (!child.dataset.at) continue;
    join(child, before);
    separate(child, before);
    before = child;
  }
}

function settleOne(entry) {
  let before = entry.previousElementSibling;
  if (before?.matches(".notes") && entry.matches(".note")) {
    before.append(entry);
    before.querySelector("summary").textContent = `${before.children.length - 1} system entries`;
    return;
  }
  if (!entry.dataset.at) return;
  join(entry, before);
  separate(entry, before);
}

// An earlier page may hold the card whose output went on in a later one: the two become one card again.
const PARTS = ["lines", "work", "did", "parts"];

function reunite() {
  LOG.querySelectorAll("[data-continues]").forEach((later) => {
    const card = later.dataset.continues;
    const first = [...LOG.querySelectorAll(`[data-card="${card}"]:not([data-continues])`)].find((one) => one !== later);
    if (!first) return;
    const part = (whole, name) => whole.querySelector(`[id="${name}-${card}"]`);
    for (const name of PARTS) part(first, name)?.append(...(part(later, name)?.childNodes ?? []));
    const foot = part(later, "foot");
    if (foot?.children.length) part(first, "foot")?.replaceChildren(...foot.childNodes);
    for (const name of ["state", "spent"]) {
      const told = part(later, name);
      if (told) part(first, name)?.replaceWith(told);
    }
    const doings = later.querySelector("[data-doings]");
    if (doings && !doings.open) first.querySelector("[data-doings]")?.removeAttribute("open");
    later.remove();
  });
}

if (LOG) {
  settle();
  pile();
  let arranging = 0;
  LOG.addEventListener("htmx:load", () => {
    arranging ||= requestAnimationFrame(() => {
      arranging = 0;
      reunite();
      settle();
      pile();
    });
  });
  document.addEventListener("arbe:entry", (event) => settleOne(event.detail));
}
