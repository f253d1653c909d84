// What every page shares: the data that came with it, and a few words for building and finding elements.

const facts = JSON.parse(document.getElementById("facts").textContent);

/** The first element that fits a selector, inside `root`. */
const find = (selector, root = document) => root.querySelector(selector);

/** All of them, as an array. */
const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];

/** A new element. Children that are strings become text, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
