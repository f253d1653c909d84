// The playground. All that is changed stands in `wish`, which goes along with every question; the server remembers
// nothing, so that undoing is leaving out.

const wish = { question: facts.examples[0] ?? "", off: [], edits: [] };
let shownStep = 0;
let numbers = null; // of the parameter in sight
let picture = null; // behind the answer: of what it is, in words and as the wish that was sent

async function post(path, content) {
  try {
    const response = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content),
    });
    const found = await response.json();
    return found.error ? { problem: found.error } : found;
  } catch {
    return { problem: "The playground does not answer. Does it still run in its terminal?" };
  }
}

// Asking -------------------------------------------------------------------------------------------

/** A function that asks; called again before the answer has come, it asks anew then, and shows the last answer alone. */
function following(question, show) {
  let busy = false;
  let again = false;
  return async () => {
    again = true;
    if (busy) return;
    busy = true;
    while (again) {
      again = false;
      const found = await question();
      if (!again) show(found);
    }
    busy = false;
  };
}

const ask = following(
  () => post("/answer", wish),
  (found) => {
    showProblem(found);
    if (found.problem) return;
    showReply(found);
    showAttention(found);
    showLogits(found);
  },
);

function changed() {
  showChanges();
  showCaption();
  ask();
  showWeights();
}

function showProblem({ problem, place }) {
  find("#problem").classList.toggle("hidden", !problem);
  find("#problem p").textContent = problem ?? "";
  find("#problem pre").textContent = place ?? "";
  find("#question").setAttribute("aria-invalid", String(place !== undefined));
  for (const name of ["#reply", "#views"]) find(name).classList.toggle("stale", Boolean(problem));
}

function showReply({ question, answer, right, plain, tokens, asked }) {
  const short = right === null ? question : question.replace(/\s+/g, "");
  const whole = right === null ? short + answer : `${short} = ${answer || "nothing"}`;
  find("#answer").textContent = whole;
  find("#reply").classList.toggle("long", whole.length > 40);
  const words = [];
  if (right !== null && answer === right) words.push(make("b", { class: "right" }, "✓ right"));
  else if (right !== null) words.push(make("b", { class: "wrong" }, "✗ wrong"), `, it is ${right}`);
  if (isChanged()) {
    const percent = `${(Math.floor(1000 * plain.chance) / 10).toFixed(1)} %`; // only all is 100 %
    const said = answer === plain.answer ? "says the same" : `says ${plain.answer || "nothing"}`;
    words.push(make("span", { class: "pale" }, ` The unchanged model ${said}, its first token with ${percent}.`));
  }
  find("#verdict").replaceChildren(...words);
  find("#tokens").replaceChildren(
    ...tokens.map((token, i) => make("li", i < asked ? {} : { class: "said" }, token)),
  );
}

function showAttention({ attention, tokens }) {
  const least = tokens.length > 24 ? "19rem" : tokens.length > 16 ? "13rem" : "";
  const blocks = attention.slice(0, facts.blocks).map((heads, block) => {
    const cards = heads.map((weights, head) => {
      const on = !isOff(block, head);
      const toggle = make(
        "button",
        { type: "button", role: "switch", "aria-checked": String(on), "data-head": `${block}.${head}` },
        `head ${head + 1}`,
      );
      toggle.addEventListener("click", () => switchHead(block, head));
      const tell = (row, column) => {
        find("#look").textContent =
          `Block ${block + 1}, head ${head + 1}: “${tokens[row]}” looks at “${tokens[column]}” with ${weights[row][column]}`;
      };
      return make("div", { class: on ? "head" : "head off" }, toggle, heatmap(weights, tokens, tell));
    });
    const row = make("div", { class: "block" }, make("p", {}, `block ${block + 1}`), ...cards);
    if (least) row.style.setProperty("--least", least);
    return row;
  });
  find("#heads").replaceChildren(...(blocks.length ? blocks : ["This model was built without attention."]));
}

function showLogits({ steps }) {
  shownStep = Math.min(shownStep, steps.length - 1);
  const show = (step) => {
    shownStep = step;
    find("#rows").replaceChildren(...logitRows(steps[step], isChanged()));
    findAll("#steps button").forEach((button, k) => button.setAttribute("aria-pressed", String(k === step)));
  };
  const buttons = steps.map((rows, k) => {
    const best = rows.reduce((a, b) => (b.chance > a.chance ? b : a));
    const button = make("button", { type: "button" }, `${k + 1}: ${best.token}`);
    button.addEventListener("click", () => show(k));
    return button;
  });
  find("#steps").replaceChildren(...(steps.length > 1 ? buttons : []));
  show(shownStep);
}

// Changing -----------------------------------------------------------------------------------------

const isChanged = () => wish.off.length + wish.edits.length > 0;
const isOff = (block, head) => wish.off.some(([b, h]) => b === block && h === head);

function switchHead(block, head) {
  const on = isOff(block, head);
  wish.off = on ? wish.off.filter(([b, h]) => b !== block || h !== head) : [...wish.off, [block, head]];
  changed();
}

function wordsOf(edit) {
  if (edit.kind === "scale") return `${facts.tokens[edit.token]} × ${edit.factor}`;
  if (edit.kind === "swap") return edit.tokens.map((token) => facts.tokens[token]).join(" ⇄ ");
  return `${edit.name}[${edit.index}] = ${edit.value}`;
}

function showChanges() {
  const chip = (words, undo) => {
    const button = make("button", { type: "button", title: "Undo" }, words);
    button.addEventListener("click", () => {
      undo();
      changed();
    });
    return make("li", {}, button);
  };
  const chips = [
    ...wish.off.map(([block, head]) =>
      chip(`block ${block + 1}, head ${head + 1} off`, () => {
        wish.off = wish.off.filter(([b, h]) => b !== block || h !== head);
      }),
    ),
    ...wish.edits.map((edit) =>
      chip(wordsOf(edit), () => {
        wish.edits = wish.edits.filter((each) => each !== edit);
      }),
    ),
  ];
  const none = make("li", { class: "pale" }, "Nothing is changed: switch a head off, or edit a number below.");
  find("#chips").replaceChildren(...(chips.length ? chips : [none]));
  find("#undo").classList.toggle("hidden", !chips.length);
}

function edit(one) {
  wish.edits = [...wish.edits, one];
  changed();
}

/** The number in a field; null, and the browser says what is wrong with it, if it holds none. */
function numberOf(selector) {
  const field = find(selector);
  if (field.value === "" || !field.checkValidity()) {
    field.setCustomValidity(field.value === "" ? "A number is needed here." : "");
    field.reportValidity();
    field.setCustomValidity("");
    return null;
  }
  return Number(field.value);
}

// A weight -----------------------------------------------------------------------------------------

const showWeights = following(
  () => post("/weights", { ...wish, question: "", name: find("#name").value }),
  (found) => {
    if (found.problem) return; // an edit that cannot be: the question has the same problem, and tells it
    numbers = found.rows;
    find("#row").max = numbers.length - 1;
    find("#column").max = numbers[0].length - 1;
    choose(Number(find("#row").value), Number(find("#column").value));
  },
);

function choose(row, column) {
  if (numbers === null) return;
  const i = Math.max(0, Math.min(row, numbers.length - 1));
  const j = Math.max(0, Math.min(column, numbers[0].length - 1));
  find("#row").value = i;
  find("#column").value = j;
  const token = { "embedding.weight": i, "output.weight": j, "output.bias": j }[find("#name").value];
  const whose = token === undefined ? "" : `, of “${facts.tokens[token]}”`;
  find("#now").textContent = `is ${numbers[i][j]}${whose}`;
  matrix(find("#matrix"), numbers, [i, j]);
}

// The page -----------------------------------------------------------------------------------------

function frame(path, words) {
  const sent = JSON.stringify(wish);
  const page = make("iframe", {
    sandbox: "allow-scripts", title: words, src: `${path}?wish=${encodeURIComponent(sent)}`,
  });
  const told = `${words} of ${wish.question}${isChanged() ? ", with the changes above" : ""}`;
  picture = { sent, told, before: `${words} of ${wish.question}, as it was: press again to see what you changed since` };
  page.addEventListener("load", showCaption);
  find("#frame").replaceChildren(page);
  find("#caption").textContent = `${told}: being drawn …`;
}

/** A picture stays what it was drawn of, and says so. */
function showCaption() {
  if (picture === null) return;
  const current = picture.sent === JSON.stringify(wish);
  find("#frame").classList.toggle("stale", !current);
  find("#caption").textContent = current ? picture.told : picture.before;
}

function begin() {
  const options = facts.tokens.map((token, id) => make("option", { value: id }, token));
  find("#token").append(...options);
  find("#other").append(...options.map((option) => option.cloneNode(true)));
  find("#token").value = Math.min(5, facts.tokens.length - 1);
  find("#other").value = Math.min(6, facts.tokens.length - 1);
  find("#name").append(...facts.parameters.map(([name, shape]) => make("option", { value: name }, `${name} (${shape})`)));
  find("#name").options.item(0).selected = true;
  for (const example of facts.examples) {
    const button = make("button", { type: "button" }, example);
    button.addEventListener("click", () => {
      find("#question").value = wish.question = example;
      showCaption();
      ask();
    });
    find("#examples").append(button);
  }
  find("#question").value = wish.question;
  find("#question").addEventListener("input", (event) => {
    wish.question = event.target.value;
    showCaption();
    ask();
  });
  find("#undo").addEventListener("click", () => {
    Object.assign(wish, { off: [], edits: [] });
    changed();
  });
  find("#tokenform").addEventListener("submit", (event) => {
    event.preventDefault();
    const factor = numberOf("#factor");
    if (factor !== null) edit({ kind: "scale", token: Number(find("#token").value), factor });
  });
  find("#swap").addEventListener("click", () =>
    edit({ kind: "swap", tokens: [Number(find("#token").value), Number(find("#other").value)] }),
  );
  find("#weightform").addEventListener("submit", (event) => {
    event.preventDefault();
    const [row, column, value] = ["#row", "#column", "#value"].map(numberOf);
    if (row === null || column === null || value === null) return;
    const name = find("#name").value;
    const flat = facts.parameters.find(([each]) => each === name)[1].length === 1;
    edit({ kind: "weight", name, index: flat ? [column] : [row, column], value });
  });
  find("#name").addEventListener("change", showWeights);
  for (const field of ["#row", "#column"]) {
    find(field).addEventListener("change", () => choose(Number(find("#row").value), Number(find("#column").value)));
  }
  find("#matrix").addEventListener("click", (event) => {
    const cell = Number(event.target.dataset.cell);
    choose(Math.floor(event.offsetY / cell), Math.floor(event.offsetX / cell));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showWeights);
  find("#graph").addEventListener("click", () => frame("/graph", "The graph"));
  find("#replay").addEventListener("click", () => frame("/replay", "The gradient, step by step,"));
  changed();
}

begin();
