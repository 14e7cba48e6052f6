// Fields and sample pings of a doctype come when they are looked at. Without this module links lead to the same.

async function put(place, address, keep = []) {
  const answer = await fetch(address);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const found = answer.ok ? fresh.body : fresh.querySelector(".verdict p") ?? fresh.body;
  place.replaceChildren(...keep, ...found.childNodes);
}

// `toggle` does not bubble, hence the capture.
document.addEventListener("toggle", ({ target }) => {
  const path = target.dataset?.fields;
  if (path === undefined || !target.open || target.querySelector(".fields")) return;
  const here = document.querySelector("[data-load]").dataset.load.replace(/\/samples$/, "");
  put(target, `${here}/fields?inside=${encodeURIComponent(path)}`, [target.querySelector("summary")]);
}, true);

document.addEventListener("click", async (event) => {
  const more = event.target.closest("[data-more]");
  if (!more || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const place = document.createElement("div");
  await put(place, more.href);
  more.closest("li").replaceWith(...(place.querySelector(".fields")?.children ?? place.childNodes));
});

const samples = document.querySelector("[data-load]");
if (!samples.querySelector(".samples")) put(samples, samples.dataset.load);
