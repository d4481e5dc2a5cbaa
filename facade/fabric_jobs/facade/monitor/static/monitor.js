// Adds to htmx: running durations are updated every second, and a lost connection is shown.
"use strict";
(() => {
  const SILENT_MS = 5_000; // Several times the interval between two signs of life.
  const live = document.getElementById("live");
  let aheadMs = 0; // By how much the facade's clock is ahead of this browser's.
  let aliveAt = Date.now();
  let lost = false;

  const now = () => Date.now() + aheadMs;

  // The same as `format_duration` in formatting.py.
  function formatDuration(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const [day, hour, minute] = [86400, 3600, 60];
    if (whole >= day) return `${Math.floor(whole / day)} d ${Math.floor((whole % day) / hour)} h`;
    if (whole >= hour) return `${Math.floor(whole / hour)} h ${Math.floor((whole % hour) / minute)} min`;
    if (whole >= minute) return `${Math.floor(whole / minute)} min ${whole % minute} s`;
    return `${whole} s`;
  }

  function showConnection(state, text) {
    if (live.textContent === text) return;
    live.textContent = text;
    live.dataset.state = state;
  }

  function setLost() {
    lost = true;
    const at = new Date(aliveAt + aheadMs).toISOString().slice(11, 19);
    showConnection("lost", `Not live since ${at} UTC: the connection is lost. Reconnecting… Reload the page if this lasts.`);
  }

  document.body.addEventListener("htmx:sseMessage", ({ detail }) => {
    if (detail.type !== "alive") return;
    // This message follows all changed parts, so the page is up to date now.
    aliveAt = Date.now();
    aheadMs = Number(detail.data) - aliveAt;
    lost = false;
    showConnection("live", "Live");
  });
  document.body.addEventListener("htmx:sseError", setLost);
  setInterval(() => {
    if (Date.now() - aliveAt > SILENT_MS) setLost();
    if (lost) return; // Without a connection, a run may have ended already.
    for (const node of document.querySelectorAll("[data-since]")) {
      node.textContent = formatDuration((now() - Date.parse(node.dataset.since)) / 1000);
    }
  }, 1000);
})();
