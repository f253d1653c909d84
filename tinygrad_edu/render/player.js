// The replay of a backward pass: position 0 is the start, k the k-th step, and one more the end. Nothing is computed
// here but which part of the facts is shown.

const END = facts.steps.length + 1;
const SECONDS = 1.6; // a step while it plays
let position = 0;
let playing = null;

const nodeOf = (number) => facts.nodes[number];
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

// Numbers and tables ----------------------------------------------------------------------------------

/** Four digits are enough to recognise a number; the whole of it is in the tooltip. */
function short(number) {
  if (typeof number === "string" || Number.isInteger(number) && Math.abs(number) < 1e5) return String(number);
  const size = Math.abs(number);
  const text = size < 1e-4 || size >= 1e5 ? number.toExponential(3) : String(Number(number.toPrecision(4)));
  return text.replace(/\.?0+e/, "e");
}

/** An array: its numbers, tinted by their size and sign, or what is worth knowing of many. */
function amount(about) {
  if (about.parts) return make("div", { class: "parts" }, ...about.parts.map(amount));
  if (about.text !== undefined) return make("span", { class: "number" }, about.text);
  const shape = make("span", { class: "shape pale" }, `${about.shape || "scalar"} ${about.dtype}`);
  if (!about.rows) return make("div", { class: "amount" }, make("span", {}, about.facts.join(", ")), shape);
  if (!about.shape) return make("span", { class: "number one", title: about.rows[0][0] }, short(about.rows[0][0]));
  const largest = Math.max(0, ...about.rows.flat().filter(Number.isFinite).map(Math.abs));
  const table = make("table", { class: "number" }, make("tbody", {}, ...about.rows.map((row) =>
    make("tr", {}, ...row.map((value) => cell(value, largest))))));
  return make("div", { class: "amount" }, make("div", { class: "scroll" }, table), shape);
}

function cell(value, largest) {
  const made = make("td", { title: value }, short(value));
  if (!Number.isFinite(value)) made.classList.add("wrong");
  else if (value && largest) {
    made.classList.add(value > 0 ? "plus" : "minus");
    made.style.setProperty("--heat", `${Math.round(8 + 42 * Math.abs(value) / largest)}%`);
  }
  return made;
}

// What the panel says ---------------------------------------------------------------------------------

function jump(words, target, attributes = {}) {
  const button = make("button", { type: "button", class: "link", ...attributes }, words);
  button.addEventListener("click", () => { stop(); target(); });
  return button;
}

/** A node's gradient as the sum that it is, as far as the pass has come. */
function sum(number, until) {
  const node = nodeOf(number);
  if (number === facts.output) return make("p", { class: "pale" }, "The pass starts here, with this cotangent.");
  if (node.expects === 1 && node.shares.length === 1) {
    const [[step]] = node.shares;
    const words = step < until ? "It is the only share, sent in " : "The only share is to come, in ";
    const from = nodeOf(facts.steps[step].node).call;
    return make("p", { class: "sum pale" }, words, jump(`step ${step + 1}`, () => go(step + 1)), ` by ${from}.`);
  }
  const there = arrived(number, until);
  const rows = node.shares.map(([step, place]) => {
    const share = facts.steps[step].shares[place];
    const from = nodeOf(facts.steps[step].node);
    const said = jump(`step ${step + 1}`, () => go(step + 1));
    const row = make("li", {}, make("span", { class: "sign" }, "+ "), said, ` from ${from.call}`, amount(share.value));
    if (step >= until) row.classList.add("later");
    return row;
  });
  const more = node.expects - node.shares.length;
  if (more) rows.push(make("li", {}, `and ${plural(more, "share")} more`));
  const words = `${there} of ${plural(node.expects, "share")} so far:`;
  return make("div", { class: "sum" }, make("p", { class: "pale" },
    there === node.expects ? `The sum of ${plural(there, "share")}:` : words), make("ul", {}, ...rows));
}

function rule(share, step) {
  const { source, where } = facts.rules[share.rule];
  const parts = [];
  if (share.formula) {
    parts.push(make("p", { class: "formula" }, share.formula));
    if (share.shapes) parts.push(make("p", { class: "pale shapes" }, share.shapes));
  }
  parts.push(source === null ? make("p", {}, `The text of the rule is not there to be read (${where}).`)
    : make("pre", { tabindex: "0", "aria-label": "The rule" }, make("code", {}, source)));
  parts.push(make("p", { class: "pale where" }, where));
  if (share.reads.length) {
    parts.push(make("dl", {}, ...share.reads.flatMap((name) =>
      [make("dt", { class: "number" }, name), make("dd", {}, amount(step.kept[name]))])));
  }
  return parts;
}

function sending(share, step) {
  const to = nodeOf(share.to);
  const made = make("article", { class: "share" },
    make("h3", {}, "To ", jump(to.name, () => open(share.to)), `, argument ${share.argument}`),
    ...rule(share, step),
    make("h4", {}, share.of === 1 ? "It sends, as the only share" : "It sends"), amount(share.value));
  if (share.made !== null) {
    made.append(make("p", { class: "pale" }, `Summed from ${share.made} back to ${share.shape}: it was broadcast.`));
  }
  if (share.of > 1) {
    const state = share.count === share.of ? "complete" : `share ${share.count} of ${share.of}`;
    made.append(make("h4", {}, `Sum at ${to.name}, ${state}`), make("div", { class: "total" }, amount(share.total)));
  }
  return made;
}

function panel() {
  if (position === 0) {
    const output = nodeOf(facts.output);
    return [make("h2", {}, "The start"), make("p", {}, `${output.call} gets this cotangent, and the pass begins.`),
      amount(facts.seed),
      make("h3", {}, "In the picture"),
      make("ul", { class: "legend" }, ...[
        ["sending", "an orange line: the gradient goes along it in this step, against the arrow"],
        ["current", "an orange box: it is this node's turn; all its shares are there"],
        ["waiting", "a dashed box: it has shares, and waits for the rest or for its turn"],
        ["done", "green: it has passed its cotangent on, or it is a leaf whose gradient is complete"],
      ].map(([kind, words]) => make("li", { class: kind }, words))),
      make("p", { class: "pale" }, "In formulas z is the node's value, and dz the cotangent that arrives; in rules it is g.")];
  }
  if (position === END) {
    const whole = facts.steps.length === facts.all;
    return [make("h2", {}, whole ? "The end: every gradient" : `After ${plural(facts.steps.length, "step")}`),
      ...facts.leaves.flatMap(([number]) => gradient(number, "h3"))];
  }
  const step = facts.steps[position - 1];
  const node = nodeOf(step.node);
  return [make("h2", {}, `Step ${position}: ${node.call}`), make("p", { class: "pale" }, node.about),
    make("h3", {}, "The cotangent that arrives"), amount(step.got), sum(step.node, position - 1),
    ...step.shares.map((share) => sending(share, step))];
}

/** How many shares has a node got before a step? */
const arrived = (number, until) => facts.steps.slice(0, until).reduce(
  (count, step) => count + step.shares.filter((share) => share.to === number).length, 0);

/** Has all of a node's gradient arrived? */
const complete = (number) => arrived(number, position) === nodeOf(number).expects;

function gradient(number, heading) {
  const node = nodeOf(number);
  const [, whole] = facts.leaves.find(([leaf]) => leaf === number);
  const parts = [make(heading, {}, node.name), make("p", { class: "pale" }, node.about)];
  if (complete(number)) parts.push(make("div", { class: "gradient", "data-leaf": number }, amount(whole)));
  return [...parts, sum(number, position)];
}

// Going from step to step -----------------------------------------------------------------------------

function said() {
  if (position === 0) return "The start.";
  if (position === END) return "The end: every gradient is complete.";
  const step = facts.steps[position - 1];
  const sent = step.shares.map((share) => `to ${nodeOf(share.to).name} it sends ${share.words}`);
  return `Step ${position}: ${nodeOf(step.node).call} got ${step.words}; ${sent.join("; ")}.`;
}

function mark() {
  const passed = facts.steps.slice(0, Math.max(0, position - 1)).map((step) => nodeOf(step.node));
  const whole = facts.leaves.map(([number]) => number).filter(complete).map(nodeOf);
  const done = new Set([...passed, ...whole].map((node) => node.box));
  const step = facts.steps[position - 1];
  const current = position === 0 ? nodeOf(facts.output).box : step ? nodeOf(step.node).box : null;
  const got = new Set(facts.steps.slice(0, position).flatMap((each) => each.shares.map((share) => nodeOf(share.to).box)));
  const gone = new Set();
  const now = new Set();
  facts.steps.slice(0, position).forEach((each, k) => each.shares.forEach((share) =>
    (k === position - 1 ? now : gone).add(`${nodeOf(share.to).box}->${nodeOf(each.node).box}`)));
  for (const group of findAll("#stage g[data-name]")) {
    const name = group.dataset.name;
    const box = Number(name);
    group.classList.toggle("current", box === current);
    group.classList.toggle("done", done.has(box) && box !== current);
    group.classList.toggle("waiting", got.has(box) && !done.has(box) && box !== current);
    group.classList.toggle("sending", now.has(name));
    group.classList.toggle("walked", gone.has(name) && !now.has(name));
  }
  const here = find("#stage .current");
  if (here && stage) stage.reveal(here);
}

function fill(parts) {
  const now = find("#now");
  now.replaceChildren(...parts);
  now.scrollTop = 0;
}

function go(to) {
  position = Math.min(END, Math.max(0, to));
  fill(panel());
  mark();
  for (const button of findAll("#list button")) {
    const here = Number(button.dataset.position) === position;
    if (here) button.setAttribute("aria-current", "step");
    else button.removeAttribute("aria-current");
    if (here && button.offsetParent) button.scrollIntoView({ block: "nearest" });
  }
  find("#place").value = position;
  find("#place").setAttribute("aria-valuetext", said());
  find("#count").textContent = position === 0 ? "start" : position === END ? "end" : `${position} of ${facts.all}`;
  find("#previous").disabled = find("#first").disabled = position === 0;
  find("#next").disabled = find("#last").disabled = position === END;
  find("#said").textContent = said();
}

/** A leaf's sum, as far as the pass has come. */
function show(number) {
  fill(gradient(number, "h2"));
  find("#said").textContent = `The gradient of ${nodeOf(number).name}.`;
}

/** Where a node is told of: an operation's turn, or a leaf's sum. */
function open(number) {
  const step = facts.steps.findIndex((each) => each.node === number);
  if (step >= 0) go(step + 1);
  else if (nodeOf(number)?.kind === "leaf") show(number);
}

function stop() {
  clearInterval(playing);
  playing = null;
  find("#play").textContent = "Play";
  find("#play").setAttribute("aria-pressed", "false");
}

function play() {
  if (playing) return stop();
  if (position === END) go(0);
  find("#play").textContent = "Pause";
  find("#play").setAttribute("aria-pressed", "true");
  playing = setInterval(() => { go(position + 1); if (position === END) stop(); }, 1000 * SECONDS);
}

const move = (to) => { stop(); go(to); };
const stage = find("#stage svg") ? new Stage(find("#stage")) : null;

find("#first").addEventListener("click", () => move(0));
find("#previous").addEventListener("click", () => move(position - 1));
find("#play").addEventListener("click", play);
find("#next").addEventListener("click", () => move(position + 1));
find("#last").addEventListener("click", () => move(END));
find("#place").addEventListener("input", (event) => move(Number(event.target.value)));
for (const button of findAll("#list button")) {
  button.addEventListener("click", () => move(Number(button.dataset.position)));
}
for (const button of findAll("#leaves button")) {
  button.addEventListener("click", () => { stop(); show(Number(button.dataset.leaf)); });
}
find("#stage").addEventListener("click", (event) => {
  const group = event.target.closest("g.node[data-name]");
  if (!group) return;
  const box = Number(group.dataset.name);
  // A folded box goes to its first step.
  const turn = facts.steps.findIndex((step) => nodeOf(step.node).box === box);
  stop();
  if (turn >= 0) go(turn + 1);
  else open(Number(Object.keys(facts.nodes).find((number) => nodeOf(number).box === box)));
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.id === "place") return;
  const onButton = event.target.closest("button, summary");
  const keys = {
    ArrowRight: () => move(position + 1), ArrowLeft: () => move(position - 1),
    Home: () => move(0), End: () => move(END), " ": onButton ? null : play,
  };
  if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  } else if (stage && "+-=0".includes(event.key)) stage.key(event);
});

go(0);
