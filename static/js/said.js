// The sentence of an answer: refusals arrive as a small piece of HTML, successes in a header.
export function refusalIn(html) {
  const parsed = new DOMParser().parseFromString(html || "", "text/html");
  return parsed.querySelector("[role=alert] p, main p")?.textContent.trim() || "";
}

export function toldIn(header) {
  return header ? decodeURIComponent(header) : "";
}
