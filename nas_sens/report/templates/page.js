// What the page can do with scripts: copy, open what is linked to, print everything. It reads without them.
"use strict";
for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  const label = button.textContent;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.of);
    try {
      await navigator.clipboard.writeText(source.dataset.text || source.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source); // where pages may not write, the reader copies what is marked
      button.textContent = "Marked";
    }
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}
function open_target() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let e = target; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
  const own = target.querySelector(":scope > details");
  if (own) own.open = true;
  target.scrollIntoView();
}
addEventListener("hashchange", open_target);
open_target();
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const details of folded) details.open = true;
});
addEventListener("afterprint", () => { for (const details of folded) details.open = false; });
