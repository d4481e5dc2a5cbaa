// Adds to htmx: durations that are updated every second, local times, copied ids, and a note of a
// lost connection.
"use strict";
(() => {
  const SILENT_MS = 5_000; // Several times the interval between two signs of life.
  const COPIED_MS = 1_500;
  const live = document.getElementById("live");
  const hasStream = document.querySelector("[sse-connect]") !== null;
  let aheadMs = 0; // By how much the facade's clock is ahead of this browser's.
  let aliveAt = Date.now();
  let lost = false;

  const now = () => Date.now() + aheadMs;
  const twoDigits = (number) => String(number).padStart(2, "0");

  // The same as `format_duration` in formatting.py.
  function formatDuration(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const [day, hour, minute] = [86400, 3600, 60];
    if (whole >= day) return `${Math.floor(whole / day)} d ${Math.floor((whole % day) / hour)} h`;
    if (whole >= hour) return `${Math.floor(whole / hour)} h ${Math.floor((whole % hour) / minute)} min`;
    if (whole >= minute) return `${Math.floor(whole / minute)} min ${whole % minute} s`;
    return `${whole} s`;
  }

  const formatDay = (date) =>
    [date.getFullYear(), twoDigits(date.getMonth() + 1), twoDigits(date.getDate())].join("-");
  const formatTime = (date) =>
    [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");

  // The server writes times in UTC. Each part of the page that it sends is changed once it is shown.
  function showLocalTimes(root) {
    const today = formatDay(new Date(now()));
    for (const node of root.querySelectorAll("time")) {
      const date = new Date(node.dateTime);
      const isShort = node.hasAttribute("data-short") && formatDay(date) === today;
      node.textContent = isShort ? formatTime(date) : `${formatDay(date)} ${formatTime(date)}`;
      node.title = `${node.dateTime.slice(0, 19).replace("T", " ")} UTC`;
    }
    for (const node of root.querySelectorAll(".zone")) {
      node.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
    }
  }

  function showConnection(state, text) {
    if (live.textContent === text) return;
    live.textContent = text;
    live.dataset.state = state;
  }

  function setLost() {
    lost = true;
    const at = formatTime(new Date(aliveAt + aheadMs));
    showConnection("lost", `Not live since ${at}: the connection is lost. Reconnecting… Reload the page if this lasts.`);
  }

  document.addEventListener("click", async ({ target }) => {
    const button = target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, COPIED_MS);
  });
  // A browser offers the clipboard only to pages of HTTPS and of this machine.
  if (navigator.clipboard) document.documentElement.classList.add("can-copy");

  document.body.addEventListener("htmx:afterSwap", ({ target }) => showLocalTimes(target));
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
    if (hasStream && Date.now() - aliveAt > SILENT_MS) setLost();
    if (lost) return; // Without a connection, a run may have ended already.
    for (const node of document.querySelectorAll("[data-since]")) {
      node.textContent = formatDuration((now() - Date.parse(node.dataset.since)) / 1000);
    }
  }, 1000);
  showLocalTimes(document);
})();
