// The drawer, the pane, menus, copying, and sentences that rise from the corner.
import { refusalIn, toldIn } from "./said.js";

const shell = document.querySelector(".shell");
const pane = document.getElementById("pane");

function drawer(open) {
  document.body.classList.toggle("drawer", open);
  document.querySelector(".menu-button")?.setAttribute("aria-expanded", String(open));
}

function remember(address) {
  const url = new URL(location.href);
  address ? url.searchParams.set("pane", address) : url.searchParams.delete("pane");
  history.replaceState(history.state, "", url);
}

function openPane(address) {
  shell.classList.add("with-pane");
  remember(address);
  return htmx.ajax("GET", address, { target: "#pane", swap: "innerHTML" });
}

function closePane() {
  shell.classList.remove("with-pane");
  pane.replaceChildren();
  remember(null);
}

function tell(text, bad) {
  const toast = document.createElement("div");
  toast.className = `notice toast ${bad ? "bad" : "good"}`;
  toast.role = bad ? "alert" : "status";
  const said = document.createElement("p");
  said.textContent = text;
  const close = document.createElement("button");
  close.className = "button quiet little";
  close.textContent = "Close";
  close.addEventListener("click", () => toast.remove());
  toast.append(said, close);
  document.getElementById("toasts").append(toast);
  if (!bad) setTimeout(() => toast.remove(), 6000);
}

document.addEventListener("click", async (event) => {
  const target = event.target;
  if (target.closest(".menu-button")) return drawer(!document.body.classList.contains("drawer"));
  if (document.body.classList.contains("drawer") && !target.closest(".sidebar")) drawer(false);
  document.querySelectorAll("details.menu[open]").forEach((menu) => { if (!menu.contains(target)) menu.open = false; });
  if (target.closest("[data-close-pane]")) return closePane();
  const link = target.closest("a[data-pane]");
  if (link && pane && !event.ctrlKey && !event.metaKey && !event.shiftKey && innerWidth >= 640) {
    event.preventDefault();
    return openPane(link.getAttribute("href"));
  }
  const copy = target.closest("[data-copy]");
  if (copy) {
    event.preventDefault();
    const text = copy.dataset.copy.startsWith("?") ? new URL(copy.dataset.copy, location.href).href : copy.dataset.copy;
    await navigator.clipboard?.writeText(text);
    tell("Copied.");
  }
  const dialog = target.closest("[data-opens]");
  if (dialog) document.getElementById(dialog.dataset.opens)?.showModal();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented) return;
  const menu = document.querySelector("details.menu[open]");
  if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
  else if (document.body.classList.contains("drawer")) drawer(false);
  else if (shell?.classList.contains("with-pane") && !document.querySelector("dialog[open]")) closePane();
});

document.addEventListener("arbe:tell", (event) => tell(event.detail.text, event.detail.bad));
document.addEventListener("htmx:afterRequest", (event) => {
  const { xhr, elt } = event.detail;
  if (elt.id === "composer") return;
  const said = event.detail.successful ? toldIn(xhr.getResponseHeader("X-Told")) : refusalIn(xhr.responseText);
  if (said) tell(said, !event.detail.successful);
  else if (!event.detail.successful && xhr.status) tell("Something went wrong on our side; nothing was changed.", true);
});
// Only pages of arbe become part of a page: a file of the house is text, whatever markup it holds.
document.addEventListener("htmx:beforeSwap", (event) => {
  const kind = event.detail.xhr.getResponseHeader("Content-Type") ?? "";
  if (!kind.startsWith("text/html")) event.detail.shouldSwap = false;
});
document.addEventListener("htmx:sendError", () => tell("No connection; nothing was changed.", true));
document.addEventListener("change", (event) => { if (event.target.matches("[data-submits]")) event.target.form.requestSubmit(); });

const wanted = new URL(location.href).searchParams.get("pane");
if (wanted?.startsWith("/houses/") && pane && innerWidth >= 640) openPane(wanted);
