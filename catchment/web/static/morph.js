// Makes one element like another while keeping what the user did to it: open details, focus, selection, scroll.
// Children with `data-key` or `id` are matched by that, others by their place and kind.

export function morph(old, fresh) {
  copyAttributes(old, fresh);
  const named = new Map();
  for (const child of old.children) {
    if (keyOf(child)) named.set(keyOf(child), child);
  }
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const key = keyOf(wanted);
    const match = key ? named.get(key) : likeness(place, wanted);
    if (!match) {
      old.insertBefore(wanted, place);
      continue;
    }
    if (match === place) place = place.nextSibling;
    else old.insertBefore(match, place);
    if (match.nodeType === Node.ELEMENT_NODE) morph(match, wanted);
    else if (match.data !== wanted.data) match.data = wanted.data;
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id : "";
}

function likeness(place, wanted) {
  return place && place.nodeName === wanted.nodeName && !keyOf(place) ? place : null;
}

function copyAttributes(old, fresh) {
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    const isOpen = name === "open" && old.nodeName === "DETAILS";
    if (!isOpen && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
}
