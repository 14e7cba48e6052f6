// Shows pings as the server sends them (server-sent events), the newest on top, and keeps the last `data-kept`. A pause
// keeps what comes, within the same bound, and counts what it had to leave out.

const kept = Number(document.body.dataset.kept);
const list = document.getElementById("sights");
const nothing = document.getElementById("nothing");
const debug = document.getElementById("debug");
const pulse = document.getElementById("pulse");
const pause = document.getElementById("pause");
const missedLine = document.getElementById("missed");
const known = new Set([...list.children].map((row) => row.dataset.key));
let waiting = [];
let missed = 0;

function isPaused() {
  return pause.getAttribute("aria-pressed") === "true";
}

function say(state, words) {
  pulse.className = `live ${state}`;
  if (pulse.textContent !== words) pulse.textContent = words;
}

function miss(count) {
  missed += count;
  missedLine.hidden = missed === 0;
  missedLine.textContent = `${missed.toLocaleString("en")} left out: more came than this page can show`;
}

function show(rows) {
  for (const row of rows) {
    if (known.has(row.dataset.key)) continue;
    known.add(row.dataset.key);
    const time = BigInt(row.dataset.time);
    let place = list.firstElementChild;
    while (place && BigInt(place.dataset.time) > time) place = place.nextElementSibling;
    list.insertBefore(row, place);
  }
  while (list.childElementCount > kept) {
    known.delete(list.lastElementChild.dataset.key);
    list.lastElementChild.remove();
  }
  nothing.hidden = list.childElementCount > 0;
}

function take(event) {
  const told = JSON.parse(event.data);
  const parsed = new DOMParser().parseFromString(`<ul>${told.rows}</ul>`, "text/html");
  const rows = [...parsed.querySelectorAll("ul > li[data-key]")].reverse();
  miss(told.missed);
  debug.innerHTML = told.debug;
  if (!isPaused()) {
    show(rows);
    return;
  }
  waiting = waiting.concat(rows.filter((row) => !known.has(row.dataset.key)));
  if (waiting.length > kept) miss(waiting.splice(0, waiting.length - kept).length);
  say("paused", `paused, ${waiting.length} waiting`);
}

function toggle() {
  pause.setAttribute("aria-pressed", String(!isPaused()));
  pause.textContent = isPaused() ? "Resume" : "Pause";
  if (isPaused()) {
    say("paused", "paused");
    return;
  }
  show(waiting);
  waiting = [];
  say("on", "live");
}

const source = new EventSource(`/tail/stream${location.search}`);
source.addEventListener("message", take);
source.addEventListener("open", () => isPaused() || say("on", "live"));
source.addEventListener("error", () => say("lost", "no answer: trying again"));
pause.addEventListener("click", toggle);
document.addEventListener("keydown", (event) => {
  if (event.key !== " " || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest("input, select, textarea, button, summary, a")) return;
  event.preventDefault();
  toggle();
});
pulse.hidden = pause.hidden = false;
