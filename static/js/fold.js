// Output is folded to its tail by CSS alone; this counts the lines and offers the rest. Also the elapsed time of what runs.
const FOLDS = ".out:has(> .unfold)";

function measure(out) {
  const frame = out.querySelector(".frame");
  const long = out.classList.contains("open") || frame.scrollHeight > frame.clientHeight + 4;
  out.classList.toggle("long", long);
  if (!long) return;
  const pre = out.querySelector("pre");
  const lines = Math.max(13, Math.round((pre.scrollHeight - 16) / 20));
  const open = out.classList.contains("open");
  const button = out.querySelector(".unfold");
  button.textContent = open ? "Fold" : `Show all ${lines.toLocaleString()} lines`;
  button.setAttribute("aria-expanded", String(open));
}

const waiting = new Set();
function soon(out) {
  if (!waiting.size) requestAnimationFrame(() => { waiting.forEach(measure); waiting.clear(); });
  waiting.add(out);
}

function look(root) {
  const around = root.closest?.(FOLDS);
  if (around) soon(around);
  root.querySelectorAll?.(FOLDS).forEach(soon);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest(".out > .unfold");
  if (!button) return;
  const out = button.parentElement;
  out.classList.toggle("open");
  measure(out);
  if (!out.classList.contains("open")) out.scrollIntoView({ block: "nearest" });
});

function lasting(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

setInterval(() => {
  if (document.hidden) return;
  document.querySelectorAll("[data-since]").forEach((element) => {
    const seconds = (Date.now() - Date.parse(element.dataset.since)) / 1000;
    element.textContent = lasting(Math.max(0, seconds));
  });
}, 1000);

look(document);
document.addEventListener("htmx:load", (event) => look(event.detail.elt));
document.addEventListener("arbe:arrived", (event) => look(event.detail.into));
addEventListener("resize", () => look(document));
