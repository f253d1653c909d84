// What the numbers of an answer look like. Each function fills one element and remembers nothing.

const SVG = "http://www.w3.org/2000/svg";
const CELL = 20; // of a heat map, in its own units

function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** One head's weights: a row for each token that looks. `tell(row, column)` hears where the pointer is. */
function heatmap(weights, labels, tell) {
  const margin = 6 + 6.8 * Math.max(...labels.map((label) => label.length));
  const size = margin + CELL * labels.length;
  const cells = weights.flatMap((row, i) =>
    row.map((weight, j) => [weight, i, j]).filter(([weight]) => weight >= 0.005),
  );
  const picture = draw("svg", { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": "attention" });
  picture.append(
    draw("rect", { class: "ground", x: margin, y: margin, width: size - margin, height: size - margin }),
    ...cells.map(([weight, i, j]) =>
      draw("rect", {
        class: "cell", x: margin + CELL * j, y: margin + CELL * i, width: CELL, height: CELL, "fill-opacity": weight,
        "data-row": i, "data-column": j,
      }),
    ),
    ...labels.map((label, i) =>
      draw("text", { x: margin - 3, y: margin + CELL * i + 13, "text-anchor": "end" }, label),
    ),
    ...labels.map((label, j) => {
      const x = margin + CELL * j + 13;
      return draw("text", { x, y: margin - 3, transform: `rotate(-90 ${x} ${margin - 3})` }, label);
    }),
  );
  picture.addEventListener("pointerover", (event) => {
    const { row, column } = event.target.dataset;
    if (row !== undefined) tell(Number(row), Number(column));
  });
  return picture;
}

/** A bar in a track, from one share of its width to another; `mark` is a line at a third. */
function bar(from, to, mark, negative) {
  const track = make("div", { class: "bar" });
  const filled = make("i", negative ? { class: "negative" } : {});
  filled.style.left = `${100 * Math.min(from, to)}%`;
  filled.style.width = `${100 * Math.abs(to - from)}%`;
  track.append(filled);
  if (mark !== null) {
    const line = make("b");
    line.style.left = `calc(${100 * mark}% - 1px)`;
    track.append(line);
  }
  return track;
}

/** The rows of the table of logits: how large, how likely, and by how many points that has changed. */
function logitRows(rows, changed) {
  const logits = rows.map((row) => row.logit);
  const low = Math.min(0, ...logits);
  const span = Math.max(0, ...logits) - low || 1;
  const place = (logit) => (logit - low) / span;
  const most = Math.max(...rows.map((row) => row.chance));
  return rows.map((row) => {
    const points = 100 * (row.chance - row.before);
    const moved = changed && Math.abs(points) >= 0.05;
    const words = moved ? `${points > 0 ? "+" : "−"}${Math.abs(points).toFixed(1)}` : "";
    const cell = (content, kind) => make("td", { class: kind }, content);
    return make(
      "tr", row.chance === most ? { class: "best" } : {},
      make("td", {}, row.token),
      cell(bar(place(0), place(row.logit), null, row.logit < 0), "track"),
      cell(row.logit.toFixed(2), "number"),
      cell(bar(0, row.chance, changed && (moved || row.chance === most) ? row.before : null, false), "track"),
      cell(`${(100 * row.chance).toFixed(1)} %`, "number"),
      cell(words, `number ${points > 0 ? "up" : "down"}`),
    );
  });
}

/** All numbers of a parameter, blue above zero and orange below; the chosen one is framed. */
function matrix(canvas, rows, chosen) {
  const width = rows[0].length;
  const cell = Math.max(4, Math.min(14, Math.floor(320 / rows.length), Math.floor(700 / width)));
  canvas.width = cell * width;
  canvas.height = cell * rows.length;
  canvas.dataset.cell = cell;
  const { color: above, outlineColor: below } = getComputedStyle(canvas);
  const most = Math.max(...rows.map((row) => Math.max(...row.map(Math.abs)))) || 1;
  const pen = canvas.getContext("2d");
  rows.forEach((row, i) =>
    row.forEach((value, j) => {
      pen.globalAlpha = Math.sqrt(Math.abs(value) / most);
      pen.fillStyle = value > 0 ? above : below;
      pen.fillRect(cell * j, cell * i, cell, cell);
    }),
  );
  pen.globalAlpha = 1;
  pen.lineWidth = 2;
  pen.strokeStyle = getComputedStyle(document.body).color;
  pen.strokeRect(cell * chosen[1] - 1, cell * chosen[0] - 1, cell + 2, cell + 2);
}
