// Semantic IDs as colour: two things that share a code share a colour in the same place.

import { make } from "./dom.js";

let space = { levels: 0, codebook_size: 0, modalities: [] };
export const NAMES = { text: "Text", image: "Picture", behaviour: "Behaviour" };
export const modalityName = (name) => NAMES[name] ?? name;

export function setSpace(told) {
  space = told;
}

const TURN = 137.508; // degrees: codes that follow each other are far apart in colour
export const hueOf = (code) => (code * TURN) % 360;

/** The codes of each modality; null where it has none. */
export function rowsOf(semanticId) {
  return space.modalities.map((name, n) => {
    const codes = semanticId.slice(n * space.levels, (n + 1) * space.levels);
    return { name, codes: codes[0] === space.codebook_size ? null : codes };
  });
}

/** A small picture of a semantic ID: a row a modality, a tile a level, the coarsest first. */
export function mosaic(semanticId) {
  const rows = semanticId ? rowsOf(semanticId) : space.modalities.map(() => ({ codes: null }));
  return make(
    "span",
    { className: "mosaic", "aria-hidden": "true" },
    rows.map(({ codes }) =>
      make("span", {}, codes ? codes.map(tile) : make("i", { className: "none" }))),
  );
}

function tile(code, level) {
  const element = make("i", { className: `l${Math.min(level, 3)}` });
  element.style.setProperty("--hue", hueOf(code));
  return element;
}

/** The same to read: every code with its number. */
export function codeTable(semanticId) {
  return make("div", { className: "codes" }, rowsOf(semanticId).map(codeRow));
}

function codeRow({ name, codes }) {
  const label = make("span", { className: "of" }, modalityName(name));
  if (!codes) {
    const why = name === "behaviour" ? "none yet: nobody had used it" : "none: it has nothing of this";
    return make("div", {}, label, make("span", { className: "quiet" }, why));
  }
  const tiles = codes.map((code, level) => {
    const element = make("span", { className: `code l${Math.min(level, 3)}` }, String(code));
    element.style.setProperty("--hue", hueOf(code));
    element.style.setProperty("--at", level);
    return element;
  });
  return make("div", {}, label, make("span", { className: "tuple" }, tiles));
}
