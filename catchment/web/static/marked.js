// Scrolls each sheet to its first marked line, so that the two columns open at what they are about.

for (const sheet of document.querySelectorAll(".sheet")) {
  const marked = sheet.querySelector(".marked");
  if (marked) sheet.scrollTop = marked.offsetTop - sheet.offsetTop - sheet.clientHeight / 3;
}
