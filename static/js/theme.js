// Loaded before the first paint, so that a chosen theme never flashes. Not a module for that reason.
(function () {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  function read() {
    try { return localStorage.getItem("theme"); } catch { return null; }
  }
  function keep(theme) {
    try { localStorage.setItem("theme", theme); } catch { /* private windows forget */ }
  }
  const chosen = read();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-toggle-theme]")) return;
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    keep(root.dataset.theme);
  });
})();
