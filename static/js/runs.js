// Agents at work: what waits for them, who waits for whom, and how much they did. The log itself is live.js's.
const log = document.getElementById("log");
const waiting = document.getElementById("waiting");
const title = document.title;
const me = log?.dataset.me;

function count(doings) {
  const told = doings.querySelector("[data-calls]");
  const calls = doings.querySelectorAll(":scope > .did > .call").length;
  const words = calls ? `${calls} tool call${calls === 1 ? "" : "s"}` : "What it said";
  if (told.textContent !== words) told.textContent = words;
}

// Whoever said it changes it; the server has the last word.
function mine() {
  waiting.hidden = !waiting.children.length;
  waiting.querySelectorAll(".waits").forEach((one) => {
    const is = one.dataset.author === me || waiting.hasAttribute("data-manages");
    one.querySelectorAll(".mine").forEach((act) => { act.hidden = !is; });
  });
}

function asked() {
  const questions = [...log.querySelectorAll(".asks, .note[data-answered]")];
  const open = questions.at(-1);
  const on = open?.matches(".asks") && open.closest(".run")?.querySelector(".mark.running") ? open.dataset.waitsOn : "";
  document.title = on === me ? `Waiting on you · ${title.replace(/^Waiting on you · /, "")}` : title.replace(/^Waiting on you · /, "");
}

let soon = 0;
function look() {
  soon ||= requestAnimationFrame(() => {
    soon = 0;
    log.querySelectorAll("[data-doings]").forEach(count);
    if (waiting) mine();
    asked();
  });
}

let known = "";

function status() {
  const now = [...log.querySelectorAll("[data-thread-status]")].at(-1)?.dataset.threadStatus;
  if (!now || now === known) return;
  known = now;
  const mark = document.getElementById("thread-status");
  if (mark) { mark.className = `mark ${now}`; mark.textContent = now; }
  document.dispatchEvent(new CustomEvent("arbe:status", { detail: now }));
}

if (log) {
  look();
  document.addEventListener("arbe:arrived", () => { look(); status(); });
  log.addEventListener("htmx:load", () => requestAnimationFrame(look)); // after cards have become one again
  if (waiting) new MutationObserver(look).observe(waiting, { childList: true, subtree: true });
}

// ↑ in an empty box edits what waits.
document.getElementById("composer-text")?.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowUp" || event.target.value || event.defaultPrevented) return;
  const last = [...(waiting?.querySelectorAll("details.mine:not([hidden])") ?? [])].at(-1);
  if (!last) return;
  event.preventDefault();
  last.open = true;
  last.querySelector("textarea").focus();
});
