// One box: plain text says, "$ " runs, "make " makes; where a bot drives the thread it steers that, waits for it, or
// starts it. It says where the text will go before it goes.
import { refusalIn, toldIn } from "./said.js";

const form = document.getElementById("composer");
const box = form.querySelector("textarea");
const hint = form.querySelector(".hint");
const refusal = form.querySelector(".refusal");
const list = form.querySelector(".completions");
const draft = `draft:${location.pathname}`;
let known = null;
let chosen = 0;
let options = [];

const WORDS = { say: "Say", run: "Run", make: "Make", delegate: "Delegate", nobody: "Delegate", steer: "Steer", wait: "Say later", start: "Start" };
const task = form.querySelector(".task-for");
const delegates = form.querySelector("[data-delegates]");

function mode(text) {
  if (task && !task.hidden) return task.querySelector("[name=bot] option") ? "delegate" : "nobody";
  if (/^\$\s/.test(text) || text === "$") return "run";
  if (/^make\s+\S*\s*$/.test(text)) return "make";
  if (!form.dataset.driven) return "say";
  if (form.dataset.driven !== "running") return "start";
  return form.querySelector("[name=waits]").checked ? "wait" : "steer";
}

function told() {
  const now = mode(box.value);
  if (form.dataset.mode !== now || !hint.childNodes.length) {
    form.dataset.mode = now;
    hint.innerHTML = form.querySelector(`template[data-hint="${now}"]`).innerHTML;
    form.querySelector("[type=submit] span").textContent = WORDS[now];
  }
}

// Whom a task can go to is asked when somebody wants to hand one on.
async function fillTasks() {
  if (task.querySelector("option")) return;
  const offered = await fetch(task.dataset.tasks, { headers: { Accept: "application/json" } }).then((r) => r.json()).catch(() => ({}));
  for (const select of task.querySelectorAll("select")) {
    select.replaceChildren(...(offered[select.name] ?? []).map((one) => new Option(one.text, one.value)));
  }
}

async function delegating(on) {
  if (on) await fillTasks();
  task.hidden = !on;
  delegates.setAttribute("aria-pressed", String(on));
  task.querySelectorAll("select").forEach((select) => { select.disabled = !on; });
  told();
  box.focus();
}

async function complete() {
  const make = /^make\s+(\S*)$/.exec(box.value);
  const mention = /(?:^|\s)@([\p{L}\p{N}_-]*)$/u.exec(box.value.slice(0, box.selectionStart));
  if (!make && !mention) return hide();
  if (make) known = null;
  const asked = box.value;
  known ??= await fetch(form.dataset.completions, { headers: { Accept: "application/json" } }).then((r) => (r.ok ? r.json() : null)).catch(() => null);
  if (!known || box.value !== asked) return known ? undefined : hide();
  const [all, typed] = make ? [known.targets, make[1]] : [known.agents, mention[1]];
  const at = (one) => one.value.toLowerCase().indexOf(typed.toLowerCase());
  options = all.filter((one) => at(one) >= 0).sort((a, b) => (at(a) > 0) - (at(b) > 0)).slice(0, 8)
    .map((one) => ({ ...one, put: make ? `make ${one.value}` : null, typed: `@${typed}` }));
  options.length && !(options.length === 1 && options[0].put === box.value) ? show() : hide();
}

function show() {
  chosen = Math.min(chosen, options.length - 1);
  list.replaceChildren(...options.map((one, n) => {
    const row = document.createElement("div");
    row.role = "option";
    row.id = `completion-${n}`;
    row.ariaSelected = String(n === chosen);
    const name = document.createElement("span");
    name.className = one.put ? "mono wrap-any" : "wrap-any";
    name.textContent = one.value;
    const mark = document.createElement("span");
    mark.className = `mark ${one.state}`;
    mark.textContent = one.mark;
    row.append(name, mark);
    row.addEventListener("mousedown", (event) => { event.preventDefault(); take(one); });
    return row;
  }));
  list.hidden = false;
  box.setAttribute("aria-activedescendant", `completion-${chosen}`);
}

function hide() {
  list.hidden = true;
  options = [];
  chosen = 0;
  box.removeAttribute("aria-activedescendant");
}

function take(one) {
  if (one.put) box.value = one.put;
  else {
    const cut = box.selectionStart - one.typed.length;
    box.setRangeText(`@${one.value} `, cut, box.selectionStart, "end");
  }
  hide();
  told();
  box.focus();
}

function pressed(event) {
  if (event.isComposing) return;
  if (!list.hidden) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); chosen = (chosen + step + options.length) % options.length; return show(); }
    if (event.key === "Tab" || (event.key === "Enter" && options[chosen].put !== box.value)) { event.preventDefault(); return take(options[chosen]); }
    if (event.key === "Escape") { event.preventDefault(); return hide(); }
  }
  if (event.key === "Escape") box.blur();
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    if (box.value.trim()) form.requestSubmit();
  }
}

function keep() {
  try { box.value ? localStorage.setItem(draft, box.value) : localStorage.removeItem(draft); } catch { /* full or forbidden: only the draft is lost */ }
}

function sent(event) {
  if (event.target !== form) return;
  form.removeAttribute("aria-busy");
  if (event.detail.successful) {
    if (box.value === form.dataset.sending) box.value = "";
    refusal.textContent = "";
    keep();
    if (task && !task.hidden) delegating(false);
    form.querySelectorAll("[name=waits]").forEach((later) => { later.checked = false; });
    told();
    document.getElementById("newer")?.click();
  } else {
    refusal.textContent = refusalIn(event.detail.xhr.responseText) || "That did not arrive; your text is still here. Check the connection and send it again.";
  }
}

async function drop(files) {
  const url = form.dataset.upload;
  if (!url || !files.length) return;
  const body = new FormData();
  for (const file of files) body.append("files", file);
  body.append("csrfmiddlewaretoken", form.querySelector("[name=csrfmiddlewaretoken]").value);
  const answer = await fetch(url, { method: "POST", body, headers: { "HX-Request": "true" } });
  const text = answer.ok ? toldIn(answer.headers.get("X-Told")) : refusalIn(await answer.text());
  document.dispatchEvent(new CustomEvent("arbe:tell", { detail: { text: text || "The upload did not arrive.", bad: !answer.ok } }));
}

delegates?.addEventListener("click", () => delegating(task.hidden));
form.querySelector("[name=waits]")?.addEventListener("change", told);
document.addEventListener("arbe:status", (event) => {
  if (!form.dataset.driven) return;
  form.dataset.driven = event.detail;
  told();
});
box.addEventListener("input", () => { told(); complete(); keep(); });
box.addEventListener("keydown", pressed);
box.addEventListener("blur", hide);
box.addEventListener("paste", (event) => { if (event.clipboardData.files.length) { event.preventDefault(); drop(event.clipboardData.files); } });
form.addEventListener("htmx:beforeRequest", () => { form.dataset.sending = box.value; form.setAttribute("aria-busy", "true"); });
form.addEventListener("htmx:afterRequest", sent);
for (const kind of ["dragover", "dragleave", "drop"]) {
  form.addEventListener(kind, (event) => {
    event.preventDefault();
    form.classList.toggle("over", kind === "dragover");
    if (kind === "drop") drop(event.dataTransfer.files);
  });
}
try { box.value ||= localStorage.getItem(draft) || ""; } catch { /* no drafts then */ }
told();
