// Listens on a thread's socket and places what arrives. It reads on from the last seq it placed, so a lost connection
// loses nothing and a doubled delivery changes nothing.
const log = document.getElementById("log");
const scroller = document.getElementById("scroll");
const newer = document.getElementById("newer");
const state = document.getElementById("link-state");
let last = log.dataset.seq;
let unseen = 0;
let pause = 500;
let socket;

function atEnd() {
  return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 48;
}

function toEnd() {
  scroller.scrollTop = scroller.scrollHeight;
  unseen = 0;
  newer.hidden = true;
}

const byId = (selector) => selector && document.getElementById(selector.slice(1));

function place(root) {
  const { into, replace, fill, unless, gone, take, add } = root.dataset;
  if (replace) {
    const fresh = root.firstElementChild;
    byId(replace)?.replaceWith(...root.childNodes);
    return fresh.isConnected ? fresh : null; // else its card is on an earlier page
  }
  if (fill) return byId(fill)?.replaceChildren(...root.childNodes), byId(fill);
  if (gone) return void byId(gone)?.remove();
  if (take) return taken(byId(take));
  if (add) return counted(byId(add), root.firstElementChild?.dataset);
  if (unless) return byId(unless) ? null : alone(root);
  if (root.dataset.card && byId(`#card-${root.dataset.card}`)) return null; // the page came with it
  if (!into) return log.append(root), root;
  if (root.firstElementChild?.id && byId(`#${root.firstElementChild.id}`)) return null; // so with a part
  const where = byId(into);
  if (where) return where.append(...root.childNodes), where;
  return root.hasAttribute("data-else-log") ? alone(root) : null;
}

function alone(root) {
  const child = root.firstElementChild;
  log.append(child);
  return child;
}

// What somebody said to an agent at work stands in its card, where it was said.
function taken(did) {
  const said = [...log.querySelectorAll(":scope > .entry.say:not(.reply)")].at(-1);
  if (!did || !said) return null;
  did.append(said);
  return did;
}

function counted(spent, more) {
  if (!spent || !more) return null;
  const now = spent.firstElementChild?.dataset;
  const tokens = Number(now?.tokens || 0) + Number(more.tokens || 0);
  const usd = now?.usd || more.usd ? Number(now?.usd || 0) + Number(more.usd || 0) : null;
  const told = document.createElement("span");
  told.dataset.tokens = tokens;
  told.dataset.usd = usd ?? "";
  told.textContent = `${tokens.toLocaleString("en")} tokens${usd === null ? "" : ` · $${usd.toFixed(usd < 1 ? 4 : 2)}`}`;
  spent.replaceChildren(told);
  return null;
}

function arrive({ seq, html }) {
  if (seq <= last) return;
  last = seq;
  const stick = atEnd();
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const root of [...template.content.children]) {
    const into = place(root);
    if (!into) continue;
    htmx.process(into);
    if (into.parentElement === log) {
      document.dispatchEvent(new CustomEvent("arbe:entry", { detail: into }));
      if (!stick) unseen += 1;
    }
    document.dispatchEvent(new CustomEvent("arbe:arrived", { detail: { into } }));
  }
  if (stick) toEnd();
  else if (unseen) {
    newer.hidden = false;
    newer.querySelector("span").textContent = `${unseen} new`;
  }
}

function listen() {
  const url = new URL(log.dataset.socket, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("after", last);
  socket = new WebSocket(url);
  socket.onopen = () => { pause = 500; state.hidden = true; };
  socket.onmessage = (event) => {
    const told = JSON.parse(event.data);
    told.events.forEach(arrive);
  };
  socket.onclose = (event) => {
    if (event.code === 4403 || event.code === 4404) {
      state.textContent = "You can no longer read this thread.";
      state.hidden = false;
      return;
    }
    state.textContent = "Reconnecting…";
    state.hidden = pause < 2000;
    setTimeout(listen, pause * (0.75 + Math.random() / 2));
    pause = Math.min(pause * 2, 15_000);
  };
}

newer.addEventListener("click", toEnd);
scroller.addEventListener("scroll", () => { if (unseen && atEnd()) toEnd(); }, { passive: true });
// An output that grows inside its card keeps the reader at the end, if that is where they were.
let wasAtEnd = true;
scroller.addEventListener("scroll", () => { wasAtEnd = atEnd(); }, { passive: true });
new ResizeObserver(() => { if (wasAtEnd && !unseen) scroller.scrollTop = scroller.scrollHeight; }).observe(log);

const asked = location.hash.startsWith("#e-") && document.getElementById(decodeURIComponent(location.hash.slice(1)));
if (asked) asked.scrollIntoView({ block: "center" });
else toEnd();
listen();
