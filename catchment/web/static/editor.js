// The editor: what is typed is checked a moment later by the console; lines with findings are marked beside the texts.
// Without this module the same form works as plain pages.

const form = document.getElementById("draft");
const found = document.getElementById("found");
const state = document.getElementById("state");
const PAUSE_MS = 350;
let asking = null;
let timer = 0;

function draft() {
  const values = Object.fromEntries(new FormData(form));
  return { ...values, replace: Boolean(form.elements.replace?.checked) };
}

async function ask(address) {
  asking?.abort();
  clearTimeout(timer);
  const mine = (asking = new AbortController());
  state.textContent = "checking…";
  try {
    const answer = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "text/html" },
      body: JSON.stringify(draft()),
      signal: mine.signal,
    });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== asking) return;
    found.replaceChildren(...(fresh.querySelector("main") ?? fresh.body).childNodes);
    state.textContent = "";
  } catch {
    if (mine === asking) state.textContent = "The console does not answer.";
    return;
  }
  mark();
}

function mark() {
  const checked = found.querySelector("[data-checked]");
  for (const name of ["schema", "ping"]) {
    const lines = new Map();
    for (const line of found.querySelectorAll(`.findings [data-text="${name}"]:not([data-quiet])`)) {
      if (!lines.has(line.dataset.line)) lines.set(line.dataset.line, line.closest("li").className);
    }
    const gutter = gutterOf(form.elements[name]);
    for (const item of gutter.children) item.className = lines.get(String(item.value)) ?? "";
    const said = checked?.dataset[name] ?? "";
    const words = document.getElementById(`${name}-said`);
    words.textContent = said;
    words.className = `hint ${said}`;
  }
}

function gutterOf(box) {
  return box.parentElement.querySelector(".gutter");
}

// As many numbers as the text has lines.
function count(box) {
  const gutter = gutterOf(box);
  const lines = box.value.split("\n").length;
  while (gutter.children.length > lines) gutter.lastChild.remove();
  const more = document.createDocumentFragment();
  for (let number = gutter.children.length + 1; number <= lines; number += 1) {
    const item = document.createElement("li");
    item.value = number;
    more.append(item);
  }
  gutter.append(more);
  gutter.scrollTop = box.scrollTop;
}

function go(box, number) {
  const lines = box.value.split("\n");
  const begin = lines.slice(0, number - 1).reduce((sum, line) => sum + line.length + 1, 0);
  box.focus();
  box.setSelectionRange(begin, begin + (lines[number - 1] ?? "").length);
  const height = parseFloat(getComputedStyle(box).lineHeight);
  box.scrollTop = Math.max(0, (number - 5) * height);
}

for (const name of ["schema", "ping"]) {
  const box = form.elements[name];
  box.addEventListener("scroll", () => { gutterOf(box).scrollTop = box.scrollTop; });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) ask("/api/schemas/check");
  });
  count(box);
}

form.addEventListener("input", ({ target }) => {
  if (target.tagName === "TEXTAREA") count(target);
  clearTimeout(timer);
  timer = setTimeout(() => ask("/api/schemas/check"), PAUSE_MS);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask(event.submitter?.value === "add" ? "/api/schemas" : "/api/schemas/check");
});

found.addEventListener("click", ({ target }) => {
  const line = target.closest("[data-line]");
  if (line) go(form.elements[line.dataset.text], Number(line.dataset.line));
});

if (form.elements.namespace.value && form.elements.doctype.value) ask("/api/schemas/check");
