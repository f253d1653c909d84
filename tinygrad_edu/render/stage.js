// A stage is a box on the page in which one drawing is moved and scaled: by mouse, wheel, finger or keyboard.

class Stage {
  /** box: the element that clips; the drawing is the one svg in it, or the one that show() is given. */
  constructor(box) {
    this.box = box;
    this.scale = 1;
    this.left = this.top = 0;
    this.moved = false;
    this.fingers = new Map();
    box.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    box.addEventListener("pointerdown", (event) => this.onDown(event));
    box.addEventListener("pointermove", (event) => this.onMove(event));
    for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, (event) => this.onUp(event));
    // A drag that ends on a node is no click on it.
    box.addEventListener("click", (event) => { if (this.moved) event.stopPropagation(); }, true);
    new ResizeObserver(() => { if (this.fitted) this.fit(); }).observe(box);
    const svg = find("svg", box);
    if (svg) this.show(svg);
  }

  /** Make this svg, somewhere in the box, the one that is moved, and show all of it. */
  show(svg) {
    this.svg = svg;
    this.width = Number(svg.dataset.width);
    this.height = Number(svg.dataset.height);
    svg.style.position = "absolute";
    svg.style.transformOrigin = "0 0";
    svg.style.width = `${this.width}px`;
    svg.style.height = `${this.height}px`;
    this.fit();
  }

  /** All of the drawing, in the middle, at most at 1.6 times its size. */
  fit() {
    const { clientWidth, clientHeight } = this.box;
    if (!this.svg || !clientWidth || !clientHeight) return;
    this.scale = Math.min(1.6, clientWidth / this.width, clientHeight / this.height);
    this.left = (clientWidth - this.width * this.scale) / 2;
    this.top = (clientHeight - this.height * this.scale) / 2;
    this.fitted = true;
    this.place();
  }

  /** By a factor, around a point of the box; its middle if none is given. */
  zoom(factor, x = this.box.clientWidth / 2, y = this.box.clientHeight / 2) {
    const scale = Math.min(20, Math.max(0.02, this.scale * factor));
    this.left = x - (x - this.left) * (scale / this.scale);
    this.top = y - (y - this.top) * (scale / this.scale);
    this.scale = scale;
    this.fitted = false;
    this.place();
  }

  pan(x, y) {
    this.left += x;
    this.top += y;
    this.fitted = false;
    this.place();
  }

  /** Bring an element of the drawing into sight, at a size at which it can be read. */
  reveal(element) {
    const box = this.box.getBoundingClientRect();
    if (this.scale < 0.7) this.zoom(1 / this.scale);
    const at = element.getBoundingClientRect();
    const outside = at.left < box.left || at.right > box.right || at.top < box.top || at.bottom > box.bottom;
    if (!outside) return;
    this.pan(box.left + box.width / 2 - (at.left + at.width / 2), box.top + box.height / 2 - (at.top + at.height / 2));
  }

  place() {
    this.svg.style.transform = `translate(${this.left}px, ${this.top}px) scale(${this.scale})`;
  }

  onWheel(event) {
    event.preventDefault();
    const box = this.box.getBoundingClientRect();
    this.zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - box.left, event.clientY - box.top);
  }

  onDown(event) {
    if (event.button) return;
    this.fingers.set(event.pointerId, event);
    if (this.fingers.size === 1) this.moved = false;
  }

  onMove(event) {
    const before = this.fingers.get(event.pointerId);
    if (!before) return;
    const [x, y] = [event.clientX - before.clientX, event.clientY - before.clientY];
    if (!this.moved && Math.hypot(x, y) < 4) return;
    this.moved = true;
    this.box.setPointerCapture(event.pointerId);
    if (this.fingers.size === 2) {
      const other = [...this.fingers.values()].find((each) => each.pointerId !== event.pointerId);
      const span = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
      const box = this.box.getBoundingClientRect();
      this.zoom(span(event) / span(before), other.clientX - box.left, other.clientY - box.top);
    } else {
      this.pan(x, y);
    }
    this.fingers.set(event.pointerId, event);
  }

  onUp(event) {
    this.fingers.delete(event.pointerId);
  }

  /** +, -, 0 and the arrow keys; true if the key was one of them. */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const step = 60;
    const keys = {
      "+": () => this.zoom(1.25), "=": () => this.zoom(1.25), "-": () => this.zoom(0.8), "0": () => this.fit(),
      ArrowLeft: () => this.pan(step, 0), ArrowRight: () => this.pan(-step, 0),
      ArrowUp: () => this.pan(0, step), ArrowDown: () => this.pan(0, -step),
    };
    if (!Object.hasOwn(keys, event.key)) return false;
    event.preventDefault();
    keys[event.key]();
    return true;
  }
}
