// The SQL box: Ctrl-Enter runs, Cancel stops, examples and names of tables are clicked into it. The address always
// holds the query, so it can be sent to somebody; without this module the same form works as plain pages.

const form = document.getElementById("query");
const box = document.getElementById("sql");
const result = document.getElementById("result");
const cancel = document.getElementById("cancel");
const ticking = document.getElementById("ticking");
const isOwnPage = location.pathname === "/sql";
let running = null;

async function run() {
  running?.abort();
  const sql = box.value;
  if (!sql.trim()) return box.focus();
  const mine = (running = new AbortController());
  const clock = startClock();
  cancel.hidden = false;
  result.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(`/sql/result?q=${encodeURIComponent(sql)}`, { signal: mine.signal });
    put(await answer.text());
  } catch {
    if (mine !== running) return;
    say(mine.signal.aborted ? "Cancelled." : "The console does not answer.");
  } finally {
    clearInterval(clock);
    if (mine === running) {
      running = null;
      cancel.hidden = true;
      ticking.textContent = "";
      result.removeAttribute("aria-busy");
    }
  }
}

function startClock() {
  const started = performance.now();
  return setInterval(() => {
    ticking.textContent = `running for ${((performance.now() - started) / 1000).toFixed(1)} s`;
  }, 100);
}

function put(html) {
  result.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
}

function say(words) {
  const line = document.createElement("p");
  line.className = "notice";
  line.textContent = words;
  result.replaceChildren(line);
}

function remember() {
  const address = `${isOwnPage ? "/sql" : "/"}?q=${encodeURIComponent(box.value)}${isOwnPage ? "" : "#ask"}`;
  if (address !== location.pathname + location.search + location.hash) history.pushState({}, "", address);
}

function insert(text) {
  box.focus();
  box.setRangeText(text, box.selectionStart, box.selectionEnd, "end");
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  remember();
  run();
});

box.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    form.requestSubmit();
  }
});

cancel.addEventListener("click", () => running?.abort());

document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const example = event.target.closest("[data-sql]");
  const name = event.target.closest("[data-insert]");
  if (example) {
    event.preventDefault();
    box.value = example.dataset.sql;
    form.requestSubmit();
  } else if (name) {
    insert(name.dataset.insert);
  }
});

// Columns are described when a table is opened. `toggle` does not bubble, hence the capture.
document.addEventListener("toggle", async ({ target }) => {
  const table = target.dataset?.columns;
  if (!table || !target.open || target.querySelector("li")) return;
  const answer = await fetch(`/sql/tables?table=${encodeURIComponent(table)}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const columns = answer.ok ? fresh.body : fresh.querySelector(".verdict p");
  target.replaceChildren(target.querySelector("summary"), ...columns.childNodes);
}, true);

addEventListener("popstate", () => {
  box.value = new URLSearchParams(location.search).get("q") ?? "";
  if (box.value) run();
  else result.replaceChildren();
});
