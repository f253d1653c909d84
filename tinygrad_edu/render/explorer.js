// The graph on its sheets: one is shown; a node is chosen, a box is opened, a row of equal scopes is leafed through.

const stage = new Stage(find("#stage"));
const sheets = findAll(".sheet");
const chosenOfRow = {}; // which of a row of equal scopes the numbers are of
const usedBy = {};
for (const [target, sources] of Object.entries(facts.inputs)) {
  for (const source of new Set(sources)) (usedBy[source] ??= []).push(Number(target));
}
let current = 0;
let chosen = null; // the name of a node in the current drawing

// From drawn names to nodes and back -----------------------------------------------------------------

const nameOf = (element) => element.dataset.name;
const elementOf = (name) => find(`.node[data-name="${name}"]`, sheets[current]);

/** Where a node stands in a row of equal scopes: the row's path, its place there, and which of the row it is in. */
const places = {};
for (const [path, row] of Object.entries(facts.rows)) {
  row.nodes.forEach((numbers, which) => numbers.forEach((number, place) => {
    (places[number] ??= []).push({ path, which, place });
  }));
}

/** The node that a drawn one stands for now. Rows may stand inside rows; the outermost comes first. */
function meant(number) {
  for (const { path, which, place } of places[number] ?? []) {
    const row = facts.rows[path];
    const wanted = chosenOfRow[path] ?? 0;
    if (which !== wanted) return row.nodes[wanted][place];
  }
  return number;
}

/** The node that is drawn for this one: itself, or its counterpart in the first of its row. */
function drawn(number) {
  for (const { path, which, place } of places[number] ?? []) {
    if (which) return drawn(facts.rows[path].nodes[0][place]);
  }
  return number;
}

/** The sheet on which a node is drawn, and its name there; the innermost sheet if there are several. */
function whereIs(number) {
  const wanted = drawn(number);
  for (let sheet = facts.sheets.length - 1; sheet >= 0; sheet--) {
    const found = Object.entries(facts.sheets[sheet].nodes).find(([, each]) => each === wanted);
    if (found && find(`.node[data-name="${found[0]}"]:not(.outside)`, sheets[sheet])) return { sheet, name: found[0] };
  }
  return null;
}

// Sheets ------------------------------------------------------------------------------------------------

function show(sheet) {
  current = sheet;
  chosen = null;
  for (const each of findAll(".hovered")) each.classList.remove("hovered");
  sheets.forEach((each, k) => each.classList.toggle("hidden", k !== sheet));
  stage.show(find("svg", sheets[sheet]));
  showPath();
  tell(null);
}

function open(name) {
  const sheet = facts.sheets[current].opens[name];
  if (sheet === undefined) return false;
  show(sheet);
  find("#stage").focus({ preventScroll: true });
  return true;
}

function back() {
  const { above } = facts.sheets[current];
  if (above === null) return;
  const from = current;
  show(above);
  const box = Object.entries(facts.sheets[above].opens).find(([, sheet]) => sheet === from);
  if (box) choose(box[0]);
}

function showPath() {
  const steps = [];
  for (let sheet = current; sheet !== null; sheet = facts.sheets[sheet].above) steps.unshift(sheet);
  find("#path").replaceChildren(...steps.map((sheet, k) => {
    if (k === steps.length - 1) return make("span", { "aria-current": "page" }, facts.sheets[sheet].title);
    const button = make("button", {}, facts.sheets[sheet].title);
    button.addEventListener("click", () => show(sheet));
    return make("span", { class: "step" }, button);
  }));
  showRow();
}

/** The innermost row of equal scopes that the current sheet stands in. */
const rowHere = () => facts.sheets[current].rows.findLast((path) => facts.rows[path].nodes.length) ?? null;

function showRow() {
  const path = rowHere();
  find("#row").classList.toggle("hidden", path === null);
  if (path === null) return;
  const { paths } = facts.rows[path];
  const which = chosenOfRow[path] ?? 0;
  find("#which").textContent = `${paths[which]} (${which + 1} of ${paths.length})`;
  find("#before").disabled = which === 0;
  find("#after").disabled = which === paths.length - 1;
}

function leaf(step) {
  const path = rowHere();
  if (path === null) return;
  const last = facts.rows[path].paths.length - 1;
  chosenOfRow[path] = Math.min(last, Math.max(0, (chosenOfRow[path] ?? 0) + step));
  showRow();
  tell(chosen);
}

/** What the drawing cannot know: whose numbers are beside it. */
function rowNote() {
  const path = rowHere();
  const which = chosenOfRow[path] ?? 0;
  if (path === null || which === 0) return [];
  const { paths } = facts.rows[path];
  return [make("p", { class: "pale" }, `These are numbers of ${paths[which]}; in the boxes stand those of ${paths[0]}.`)];
}

// What is known of a node -------------------------------------------------------------------------------

function choose(name) {
  for (const each of findAll(".chosen, .near", sheets[current])) each.classList.remove("chosen", "near");
  chosen = name;
  if (name !== null) {
    elementOf(name)?.classList.add("chosen");
    near(name, "near");
  }
  tell(name);
}

function near(name, mark) {
  for (const edge of findAll(".edge", sheets[current])) {
    const [source, target] = edge.dataset.name.split("->");
    edge.classList.toggle(mark, name === source || name === target);
  }
}

const short = (x) => (x === 0 ? "0" : Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3 ? x.toExponential(2) : x.toPrecision(4));
const heading = (text) => make("h3", {}, text);

function table(rows) {
  const body = rows.filter(([, value]) => value !== undefined && value !== "");
  return make("table", {}, ...body.map(([word, value]) =>
    make("tr", {}, make("th", { scope: "row" }, word), make("td", { class: "number" }, String(value)))));
}

function statistics(title, known, value) {
  if (!known) return [];
  return [heading(title), table([
    ["value", value],
    ...(value && known.low === known.high ? [] : [
      ["from", short(known.low)], ["to", short(known.high)], ["mean", short(known.mean)], ["deviation", short(known.std)],
      ["norm", short(known.norm)],
    ]),
    ["not finite", known.nonfinite || undefined],
  ])];
}

function links(title, numbers) {
  if (!numbers?.length) return [];
  const items = numbers.slice(0, 40).map((number) => {
    const known = facts.nodes[number];
    const button = make("button", {}, known ? `${known.name || known.label} ${known.shape}` : `node ${number}`);
    button.addEventListener("click", () => go(number));
    return make("li", {}, button);
  });
  if (numbers.length > items.length) items.push(make("li", {}, `and ${numbers.length - items.length} more`));
  return [heading(title), make("ul", {}, ...items)];
}

function tell(name) {
  const about = find("#about");
  const sheet = facts.sheets[current];
  if (name === null) {
    const notes = sheet.notes.map((note) => make("p", { class: "pale" }, note));
    about.replaceChildren(
      make("h2", {}, sheet.title), ...sheet.contents.map((line) => make("p", {}, line)), ...notes,
      ...(sheet.of === null ? [] : particulars(facts.nodes[sheet.of], sheet.of)),
      make("p", { class: "pale" }, "Click a node for its numbers; what has a double line opens."));
    return;
  }
  const box = sheet.boxes[name];
  const number = box ? null : meant(sheet.nodes[name]);
  const known = box ?? facts.nodes[number];
  const kind = { leaf: "leaf, wants a gradient", constant: "constant", operation: "operation" }[known.kind] ?? "";
  about.replaceChildren(
    make("h2", {}, known.name || known.label),
    make("p", { class: "pale" }, box ? box.scope : `${kind}${known.scope ? ` in ${known.scope}` : ""}`),
    ...rowNote(),
    ...(box ? box.contents.map((line) => make("p", {}, line)) : []),
    ...particulars(known, number),
    ...openButton(name),
  );
}

/** Its numbers; of a node, not of a box, also its neighbours. */
function particulars(known, number) {
  return [
    table([
      ["operation", known.kind === "operation" && known.name ? known.label : undefined],
      ["keywords", known.keywords], ["shape", known.shape], ["dtype", known.dtype],
      ["kept", known.bytes ? `${known.bytes.toLocaleString("en")} bytes` : undefined],
      ["time", known.seconds === undefined ? undefined : `${short(known.seconds * 1e6)} µs`],
      ["line", known.where],
    ]),
    ...statistics("Value", known.statistics, known.value),
    ...statistics("Gradient", known.gradient),
    ...(number === null ? [] : [...links("From", facts.inputs[number]), ...links("Used by", usedBy[number])]),
  ];
}

function openButton(name) {
  if (facts.sheets[current].opens[name] === undefined) return [];
  const button = make("button", { id: "open" }, "open");
  button.addEventListener("click", () => open(name));
  return [make("p", {}, button)];
}

/** To the sheet where a node is drawn, with its own numbers. */
function go(number) {
  for (const { path, which } of places[number] ?? []) chosenOfRow[path] = which;
  const place = whereIs(number);
  if (!place) return;
  if (place.sheet !== current) show(place.sheet);
  showRow();
  choose(place.name);
  stage.reveal(elementOf(place.name));
}

/** What a click does: a box opens, a node from elsewhere leads there, any other tells its facts. */
function act(name) {
  if (elementOf(name).classList.contains("outside")) go(meant(facts.sheets[current].nodes[name]));
  else if (!open(name)) choose(name);
}

// Search ------------------------------------------------------------------------------------------------

let found = [];
let marked = 0;

function search() {
  const words = find("#search").value.toLowerCase().split(/\s+/).filter(Boolean);
  found = !words.length ? [] : Object.entries(facts.nodes).filter(([, known]) => {
    const text = `${known.label} ${known.name ?? ""} ${known.scope ?? ""} ${known.kind} ${known.shape}`.toLowerCase();
    return words.every((word) => text.includes(word));
  }).map(([number]) => Number(number));
  marked = 0;
  const list = find("#found");
  list.classList.toggle("hidden", !words.length);
  const items = found.slice(0, 50).map((number) => {
    const known = facts.nodes[number];
    const button = make("button", {}, `${known.name || known.label} `,
      make("span", { class: "pale" }, `${known.scope ?? ""} ${known.shape}`));
    button.addEventListener("click", () => { list.classList.add("hidden"); go(number); });
    return make("li", {}, button);
  });
  const rest = found.length - items.length;
  if (!found.length) items.push(make("li", { class: "pale" }, "nothing found"));
  if (rest > 0) items.push(make("li", { class: "pale" }, `and ${rest} more`));
  list.replaceChildren(...items);
  markFound();
}

function markFound() {
  findAll("#found li").forEach((item, k) => item.classList.toggle("chosen", k === marked && found.length > 0));
}

find("#search").addEventListener("input", search);
find("#search").addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    marked = Math.min(Math.min(found.length, 50) - 1, Math.max(0, marked + (event.key === "ArrowDown" ? 1 : -1)));
    markFound();
    event.preventDefault();
  } else if (event.key === "Enter" && found.length) {
    find("#found").classList.add("hidden");
    go(found[marked]);
  } else if (event.key === "Escape") {
    event.target.value = "";
    search();
    find("#stage").focus();
  } else {
    return;
  }
  event.stopPropagation();
});

// Mouse and keys ------------------------------------------------------------------------------------------

sheets.forEach((sheet, k) => {
  for (const element of findAll(".node", sheet)) {
    const name = nameOf(element);
    const about = facts.sheets[k].boxes[name] ?? facts.nodes[facts.sheets[k].nodes[name]];
    element.setAttribute("tabindex", "0");
    element.setAttribute("role", "button");
    element.setAttribute("aria-label", `${about.name || about.label}, ${about.shape}`);
    element.addEventListener("click", () => act(name));
    element.addEventListener("focus", () => { if (chosen !== name) tell(name); });
    // Not when it enters: a sheet that opens under a mouse at rest first tells of itself.
    element.addEventListener("pointermove", () => {
      if (element.classList.contains("hovered")) return;
      element.classList.add("hovered");
      near(name, "near");
      if (chosen === null) tell(name);
    });
    element.addEventListener("pointerleave", () => {
      element.classList.remove("hovered");
      near(chosen, "near");
      if (chosen === null) tell(null);
    });
  }
});

find("#stage").addEventListener("click", (event) => { if (!event.target.closest(".node")) choose(null); });
find("#before").addEventListener("click", () => leaf(-1));
find("#after").addEventListener("click", () => leaf(1));
find("#smaller").addEventListener("click", () => stage.zoom(0.8));
find("#larger").addEventListener("click", () => stage.zoom(1.25));
find("#fit").addEventListener("click", () => stage.fit());

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input")) return;
  const node = event.target.closest?.(".node");
  if (event.key === "/") {
    event.preventDefault();
    find("#search").focus();
  } else if ((event.key === "Enter" || event.key === " ") && node) {
    event.preventDefault();
    act(nameOf(node));
  } else if (event.key === "Escape" || event.key === "Backspace") {
    if (chosen !== null) choose(null);
    else back();
  } else {
    stage.key(event);
  }
});

show(0);
