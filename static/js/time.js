// Relative times, exact on hover. <time datetime> carries the truth; the text is only how it reads now.
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "short" });
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const dated = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

function relative(then, now = new Date()) {
  const seconds = (now - then) / 1000;
  if (seconds < -30) return dated.format(then);
  if (seconds < 45) return "now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (then.toDateString() === now.toDateString()) return clock.format(then);
  if (seconds < 6 * 86400) return `${weekday.format(then)} ${clock.format(then)}`;
  return (then.getFullYear() === now.getFullYear() ? date : dated).format(then);
}

function tell(element, now) {
  const then = new Date(element.dateTime);
  if (Number.isNaN(then.getTime())) return;
  const text = relative(then, now);
  if (element.textContent !== text) element.textContent = text;
  if (!element.title) element.title = exact.format(then);
}

function tellAll(root) {
  const now = new Date();
  if (root.matches?.("time[datetime]")) tell(root, now);
  root.querySelectorAll?.("time[datetime]").forEach((element) => tell(element, now));
}

tellAll(document);
document.addEventListener("htmx:load", (event) => tellAll(event.detail.elt));
document.addEventListener("arbe:arrived", (event) => tellAll(event.detail.into));
setInterval(() => document.hidden || tellAll(document), 30_000);
document.addEventListener("visibilitychange", () => document.hidden || tellAll(document));
