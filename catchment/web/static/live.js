// Renews the live parts of the page (`data-live`) while somebody sees it. A hidden tab asks for nothing; a server that
// does not answer is asked again, more and more seldom, and the page says that its numbers are old.

import { morph } from "./morph.js";

const period = Number(document.body.dataset.periodMs);
const LONGEST_WAIT = 30000;
const pulse = document.getElementById("pulse");
const pause = document.getElementById("pause");
let timer = 0;
let failures = 0;

function isPaused() {
  return pause.getAttribute("aria-pressed") === "true";
}

function say(state, words) {
  pulse.className = `live ${state}`;
  if (pulse.textContent !== words) pulse.textContent = words;
}

function schedule() {
  clearTimeout(timer);
  if (!document.hidden && !isPaused()) {
    timer = setTimeout(renew, Math.min(period * 2 ** failures, LONGEST_WAIT));
  }
}

async function renew() {
  try {
    const answer = await fetch("/live", { signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(`${answer.status}`);
    show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    failures = 0;
    if (!isPaused()) say("on", "live");
  } catch {
    failures += 1;
    say("lost", "no answer: numbers are old");
  }
  schedule();
}

function show(fresh) {
  const selection = getSelection();
  for (const region of document.querySelectorAll("[data-live]")) {
    const isSelecting = !selection.isCollapsed && region.contains(selection.anchorNode);
    const found = fresh.getElementById(region.id);
    if (found && !isSelecting && !isPaused()) morph(region, found);
  }
  const headline = document.querySelector(".verdict h1");
  if (headline) document.title = `${headline.textContent} – Catchment`;
}

pause.addEventListener("click", () => {
  pause.setAttribute("aria-pressed", String(!isPaused()));
  pause.textContent = isPaused() ? "Resume" : "Pause";
  if (isPaused()) {
    say("paused", "paused");
    schedule();
  } else {
    renew();
  }
});
document.addEventListener("visibilitychange", () => (document.hidden || isPaused() ? schedule() : renew()));

pulse.hidden = pause.hidden = false;
say("on", "live");
schedule();
