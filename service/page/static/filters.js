// Filters: conditions on attributes, each a chip that can be taken away.

import { button, byId, fill, make } from "./dom.js";
import { go, state } from "./state.js";

const WORDS = { is: "is", not: "is not", gte: "at least", lte: "at most" };
let attributes = [];

export function setAttributes(told) {
  attributes = told;
}

/** As POST /recommend has it: values of one attribute that are asked for are alternatives. */
export function filterOf(chosen = state.filter) {
  const filter = {};
  for (const [name, how, value] of chosen) {
    const of = (filter[name] ??= {});
    if (how === "is") (of.in ??= []).push(value);
    else if (how === "not") of.not = [...(of.not ?? []), value];
    else of[how] = value;
  }
  return filter;
}

export function drawFilters() {
  if (!attributes.length) return;
  fill(
    byId("filters"),
    state.filter.map(chip),
    make("details", { className: "filter" }, make("summary", {}, "Filter"), form()),
  );
}

function chip([name, how, value], n) {
  const told = `${name} ${WORDS[how]} ${value}`;
  const gone = () => {
    go({ filter: state.filter.filter((_, at) => at !== n) });
    byId("filters").querySelector("summary").focus();
  };
  return make("span", { className: "chip" }, told,
    button("×", gone, { "aria-label": `No longer: ${told}` }));
}

function form() {
  const name = make("select", {}, attributes.map((each) => make("option", {}, each.name)));
  const how = make("select", {});
  const value = make("input", { type: "text", autocomplete: "off", required: true });
  const values = make("datalist", { id: "filter-values" });
  value.setAttribute("list", "filter-values");

  function choose() {
    const of = attributes.find((each) => each.name === name.value);
    const ways = of.values.length ? ["is", "not"] : [];
    if (of.least !== null) ways.push("gte", "lte");
    fill(how, ways.map((way) => make("option", { value: way }, WORDS[way])));
    fill(values, of.values.map((each) => make("option", { value: String(each) })));
    value.value = "";
    value.placeholder = of.values.length ? `such as ${of.values[0]}` : `${of.least} to ${of.most}`;
  }

  name.addEventListener("change", choose);
  choose();
  return make(
    "form",
    {
      onsubmit: (event) => {
        event.preventDefault();
        const of = attributes.find((each) => each.name === name.value);
        const given = typed(of, how.value, value.value.trim());
        if (given !== null) go({ filter: [...state.filter, [of.name, how.value, given]] });
      },
    },
    make("label", {}, "Attribute ", name),
    make("label", {}, "How ", how),
    make("label", {}, "Value ", value),
    values,
    make("button", {}, "Apply"),
  );
}

/** What was typed, as the catalogue has it: a truth value, a number, or a text. */
function typed(of, how, text) {
  const same = of.values.find((each) => String(each) === text);
  if (same !== undefined && (how === "is" || how === "not")) return same;
  const number = Number(text);
  if (how === "gte" || how === "lte") return text && Number.isFinite(number) ? number : null;
  return of.values.length === 0 && Number.isFinite(number) ? number : text || null;
}
