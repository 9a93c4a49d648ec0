// The catalogue from above: points on a canvas, to be moved, searched and walked through.

import { get, known, learn, nameOf } from "./api.js";
import { hueOf, modalityName } from "./codes.js";
import { aboutOf } from "./items.js";
import { button, byId, calmly, fill, make } from "./dom.js";
import { searchBox } from "./search.js";
import { go, state } from "./state.js";
import { trying } from "./trying.js";

const FAR = 65535, NEAR_PIXELS = 14, MOST_SCALE = 60, MOST_LABELS = 8;
const dark = matchMedia("(prefers-color-scheme: dark)");
let map = null;

/** Ask for the map when it is first looked at, then draw it as the state says. */
export async function drawMap() {
  if (!map) map = new Map2d(await get("page/map"));
  await map.show();
}

/** As much of a text as is no wider. */
function cut(pen, text, most) {
  const letters = [...text], share = most / pen.measureText(text).width;
  return share >= 1 ? text : `${letters.slice(0, Math.floor(share * letters.length) - 1).join("")}…`;
}

class Map2d {
  constructor({ ids, places, codes }) {
    Object.assign(this, { ids, places, codes, scale: 1, x: 0.5, y: 0.5, under: null, drag: null });
    this.at = new Map(ids.map((id, n) => [id, n]));
    this.by = Object.keys(codes)[0];
    this.canvas = make("canvas", {
      tabIndex: 0, role: "img",
      "aria-label": `A map of ${ids.length} items. Arrow keys move it, plus and minus zoom. Search above to find one.`,
      onpointerdown: (event) => this.press(event),
      onpointermove: (event) => this.move(event),
      onpointerup: (event) => this.release(event),
      onpointerleave: () => this.point(null),
      onwheel: (event) => this.wheel(event),
      onkeydown: (event) => this.key(event),
    });
    this.tip = make("p", { className: "tip", hidden: true });
    this.told = make("p", { className: "hint", role: "status" });
    const pick = make("select", { onchange: () => { this.by = pick.value; this.draw(); } },
      Object.keys(codes).map((name) => make("option", { value: name }, modalityName(name).toLowerCase())));
    fill(
      byId("map-view"),
      make("div", { className: "bar controls" },
        make("label", {}, "Coloured by the first code of ", pick),
        this.told,
        make("span", { className: "tools" },
          button("+", () => this.zoom(1.6), { "aria-label": "Closer" }),
          button("−", () => this.zoom(1 / 1.6), { "aria-label": "Farther" }),
          button("⤢", () => this.whole(), { "aria-label": "All of it" }))),
      make("div", { className: "chart" }, this.canvas, this.tip),
    );
    fill(byId("map-search"), searchBox({
      label: "Find an item on the map",
      placeholder: "Find an item on the map",
      chosen: (item) => go({ mark: item.item_id }),
    }));
    this.name = calmly((n) => trying(() => this.tell(n)), 60);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    dark.addEventListener("change", () => this.draw());
  }

  async show() {
    await learn([...state.history, ...(state.mark ? [state.mark] : [])]);
    const mark = this.at.get(state.mark);
    if (mark !== undefined) {
      [this.x, this.y] = this.placeOf(mark);
      this.scale = Math.max(this.scale, 4);
    }
    const drawn = state.history.filter((id) => this.at.has(id)).length;
    const told = [];
    if (state.mark) {
      const name = nameOf(known(state.mark));
      told.push(mark === undefined ? `${name} is not on the map: only the most used items of the bundle are.` : `${name} is in the middle.`);
    }
    if (drawn) told.push(`The line is the history: ${drawn} of ${state.history.length} steps, the latest ringed.`);
    this.told.textContent = told.join(" ");
    this.draw();
  }

  placeOf = (n) => [this.places[2 * n] / FAR, this.places[2 * n + 1] / FAR];

  /** Pixels of a place. All of the map fills the chart: its two directions are of no one length. */
  pixels(n) {
    const [x, y] = this.placeOf(n);
    return [this.width / 2 + (x - this.x) * this.across, this.height / 2 + (y - this.y) * this.down];
  }

  get across() {
    return 0.94 * this.width * this.scale;
  }

  get down() {
    return 0.92 * this.height * this.scale;
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width) return;
    const dense = devicePixelRatio;
    Object.assign(this, { width, height });
    Object.assign(this.canvas, { width: width * dense, height: height * dense });
    const pen = this.canvas.getContext("2d");
    pen.scale(dense, dense);
    this.drawPoints(pen);
    this.drawPath(pen);
    const mark = this.at.get(state.mark);
    if (mark !== undefined) {
      this.ring(pen, mark, 9);
      this.label(pen, mark);
    }
    if (this.under !== null) this.ring(pen, this.under, 7);
  }

  drawPoints(pen) {
    const size = Math.min(6, (this.ids.length > 10_000 ? 1.2 : 2.6) * Math.sqrt(this.scale));
    const lightness = dark.matches ? 0.68 : 0.62;
    const codes = this.codes[this.by];
    const turn = new Map();
    codes.forEach((code, n) => turn.has(code) ? turn.get(code).push(n) : turn.set(code, [n]));
    pen.globalAlpha = 0.85;
    for (const [code, numbers] of turn) { // a colour at a time: to change it costs more than to draw
      pen.fillStyle = `oklch(${lightness} 0.14 ${hueOf(code)})`;
      pen.beginPath();
      for (const n of numbers) {
        const [x, y] = this.pixels(n);
        if (x < -9 || y < -9 || x > this.width + 9 || y > this.height + 9) continue;
        pen.moveTo(x + size, y);
        pen.arc(x, y, size, 0, 2 * Math.PI);
      }
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  drawPath(pen) {
    const steps = state.history.map((id) => this.at.get(id)).filter((n) => n !== undefined);
    if (!steps.length) return;
    pen.strokeStyle = this.ink();
    pen.lineWidth = 1.75;
    pen.lineJoin = "round";
    pen.beginPath();
    steps.forEach((n, turn) => pen[turn ? "lineTo" : "moveTo"](...this.pixels(n)));
    pen.stroke();
    pen.fillStyle = this.ink();
    for (const n of steps) {
      pen.beginPath();
      pen.arc(...this.pixels(n), 4, 0, 2 * Math.PI);
      pen.fill();
    }
    this.ring(pen, steps.at(-1), 8);
    steps.slice(-MOST_LABELS).forEach((n) => this.label(pen, n));
  }

  /** Its name beside it, readable on whatever lies there. */
  label(pen, n) {
    const [x, y] = this.pixels(n);
    const style = getComputedStyle(this.canvas);
    pen.font = `600 13px ${style.fontFamily}`;
    const name = cut(pen, nameOf(known(this.ids[n])), this.width / 2);
    pen.textAlign = x > this.width / 2 ? "right" : "left";
    const at = [x + (x > this.width / 2 ? -13 : 13), y + 4];
    pen.strokeStyle = getComputedStyle(this.canvas.parentElement).backgroundColor;
    pen.lineWidth = 4;
    pen.strokeText(name, ...at);
    pen.fillStyle = this.ink();
    pen.fillText(name, ...at);
  }

  ring(pen, n, size) {
    pen.strokeStyle = this.ink();
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(...this.pixels(n), size, 0, 2 * Math.PI);
    pen.stroke();
  }

  ink = () => getComputedStyle(this.canvas).color;

  nearest(x, y) {
    let best = null, least = NEAR_PIXELS ** 2;
    for (let n = 0; n < this.ids.length; n += 1) {
      const [px, py] = this.pixels(n);
      const far = (px - x) ** 2 + (py - y) ** 2;
      if (far < least) [best, least] = [n, far];
    }
    return best;
  }

  press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.drag = { x: event.offsetX, y: event.offsetY, moved: 0 };
  }

  move(event) {
    if (!this.drag) return this.point(this.nearest(event.offsetX, event.offsetY));
    const [dx, dy] = [event.offsetX - this.drag.x, event.offsetY - this.drag.y];
    Object.assign(this.drag, { x: event.offsetX, y: event.offsetY, moved: this.drag.moved + Math.hypot(dx, dy) });
    return this.shift(-dx, -dy);
  }

  release(event) {
    const still = this.drag && this.drag.moved < 5;
    this.drag = null;
    const n = still ? this.nearest(event.offsetX, event.offsetY) : null;
    if (n !== null) go({ item: this.ids[n] });
  }

  point(n) {
    if (n === this.under) return;
    this.under = n;
    this.canvas.style.cursor = n === null ? "grab" : "pointer";
    this.tip.hidden = true;
    this.draw();
    if (n !== null) this.name(n);
  }

  async tell(n) {
    await learn([this.ids[n]]);
    if (this.under !== n) return;
    const item = known(this.ids[n]);
    const [x, y] = this.pixels(n);
    fill(this.tip, make("b", {}, nameOf(item)), make("br"), aboutOf(item));
    this.tip.hidden = false;
    this.tip.style.left = `${Math.max(8, Math.min(x + 12, this.width - this.tip.offsetWidth - 8))}px`;
    this.tip.style.top = `${Math.max(8, Math.min(y + 12, this.height - this.tip.offsetHeight - 8))}px`;
  }

  shift(dx, dy) {
    this.x += dx / this.across;
    this.y += dy / this.down;
    this.draw();
  }

  zoom(by) {
    this.scale = Math.max(1, Math.min(MOST_SCALE, this.scale * by));
    this.draw();
  }

  whole() {
    Object.assign(this, { scale: 1, x: 0.5, y: 0.5 });
    this.draw();
  }

  wheel(event) {
    if (!event.ctrlKey && document.activeElement !== this.canvas) return; // else the page scrolls
    event.preventDefault();
    this.zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
  }

  key(event) {
    const step = { ArrowLeft: [-60, 0], ArrowRight: [60, 0], ArrowUp: [0, -60], ArrowDown: [0, 60] }[event.key];
    if (step) this.shift(...step);
    else if (event.key === "+" || event.key === "=") this.zoom(1.6);
    else if (event.key === "-") this.zoom(1 / 1.6);
    else return;
    event.preventDefault();
  }
}
