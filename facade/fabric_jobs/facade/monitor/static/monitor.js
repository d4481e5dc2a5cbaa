// What the pages do beside htmx: durations count on, and a lost connection is said to be lost.
"use strict";
(() => {
  const SILENT_MS = 5_000; // Several times what lies between two signs of life.
  const live = document.getElementById("live");
  let aheadMs = 0; // How far the facade's clock is ahead of this one.
  let aliveAt = Date.now();
  let lost = false;

  const now = () => Date.now() + aheadMs;

  // As `duration` in shown.py.
  function duration(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const [day, hour, minute] = [86400, 3600, 60];
    if (whole >= day) return `${Math.floor(whole / day)} d ${Math.floor((whole % day) / hour)} h`;
    if (whole >= hour) return `${Math.floor(whole / hour)} h ${Math.floor((whole % hour) / minute)} min`;
    if (whole >= minute) return `${Math.floor(whole / minute)} min ${whole % minute} s`;
    return `${whole} s`;
  }

  function say(state, text) {
    if (live.textContent === text) return;
    live.textContent = text;
    live.dataset.state = state;
  }

  function lose() {
    lost = true;
    const at = new Date(aliveAt + aheadMs).toISOString().slice(11, 19);
    say("lost", `Not live since ${at} UTC: the connection is lost, and tried again. Reload the page if that lasts.`);
  }

  document.body.addEventListener("htmx:sseMessage", ({ detail }) => {
    if (detail.type !== "alive") return;
    // It comes behind what has changed: from here on the page is right again.
    aliveAt = Date.now();
    aheadMs = Number(detail.data) - aliveAt;
    lost = false;
    say("live", "Live");
  });
  document.body.addEventListener("htmx:sseError", lose);
  setInterval(() => {
    if (Date.now() - aliveAt > SILENT_MS) lose();
    if (lost) return; // Nobody knows whether what counts on here still runs.
    for (const node of document.querySelectorAll("[data-since]")) {
      node.textContent = duration((now() - Date.parse(node.dataset.since)) / 1000);
    }
  }, 1000);
})();
