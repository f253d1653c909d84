// Code that is wider than the page can be scrolled by keyboard: it takes the focus, and only then.
function reachable() {
  for (const code of document.querySelectorAll("pre")) {
    if (code.scrollWidth > code.clientWidth) code.tabIndex = 0
    else code.removeAttribute("tabindex")
  }
}
addEventListener("resize", reachable)
reachable()
