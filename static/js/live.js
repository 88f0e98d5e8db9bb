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

function place(root) {
  const into = root.dataset.into && document.querySelector(root.dataset.into);
  const replace = root.dataset.replace && document.querySelector(root.dataset.replace);
  if (replace) {
    const fresh = root.firstElementChild;
    replace.replaceWith(...root.childNodes);
    return fresh;
  }
  if (into) {
    into.append(...root.childNodes);
    return into;
  }
  if (root.dataset.replace) return null; // its card is on an earlier page
  if (root.dataset.into) {
    if (!root.hasAttribute("data-else-log")) return null;
    const child = root.firstElementChild;
    log.append(child);
    return child;
  }
  log.append(root);
  return root;
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
