// An item that nobody has had: put it, see its codes, see to whom it is recommended.

import { call, itemPath, keep, known, learn, nameOf } from "./api.js";
import { codeTable } from "./codes.js";
import { face } from "./items.js";
import { bodyOf } from "./next.js";
import { button, byId, fill, make } from "./dom.js";
import { writing } from "./keys.js";
import { go } from "./state.js";

const NEAREST = 3, DEEP = 100;
const SHORT = 1000, LONG = 100_000; // letters of an attribute, of a text, as the service has them
const SAID = { required: true, pattern: ".*\\S.*", title: "More than spaces" };
let picture = null;

export function drawAdd({ intake, attributes, most, items }) {
  const told = make("p", { role: "status", className: "problem" });
  const result = make("div", { className: "result", tabIndex: -1 });
  const id = field("Id", { value: `new-${Math.random().toString(36).slice(2, 7)}`, ...SAID, maxLength: 256 });
  const title = field("Title", { ...SAID, maxLength: SHORT });
  const texts = intake.text.filter((name) => name !== intake.title);
  const mostOf = (name) => intake.attributes.includes(name) ? SHORT : LONG;
  const inputs = texts.map((name) => [name, field(name, { ...hint(attributes, name), maxLength: mostOf(name) })]);
  const others = intake.attributes.filter((name) => !texts.includes(name))
    .map((name) => [name, field(name, { ...hint(attributes, name), maxLength: SHORT })]);

  const press = make("button", { className: "main" }, "Put it into the catalogue");
  const form = make(
    "form",
    { className: "add", onsubmit: async (event) => {
      event.preventDefault();
      told.textContent = "";
      fill(result);
      press.disabled = true;
      const text = given(inputs);
      if (intake.text.includes(intake.title)) text[intake.title] = valueOf(title);
      const own = intake.attributes.filter((name) => text[name]).map((name) => [name, text[name]]);
      const body = { title: valueOf(title), text, attributes: { ...Object.fromEntries(own), ...given(others) } };
      if (picture) body.picture = picture;
      try {
        await put(valueOf(id), body, result, { most, items });
      } catch (error) {
        told.textContent = error.message;
      }
      press.disabled = false;
      if (told.textContent) press.focus();
    } },
    id, title, inputs.map(([, label]) => label), others.map(([, label]) => label),
    intake.pictures ? pictureField() : null,
    make("p", { className: "row" }, press),
    told,
  );
  fill(byId("add-view"), make("div", { className: "pair" }, form, result));
  fill(result, make("p", { className: "empty" }, "Its codes, and whom it is recommended to, will be here."));
}

function field(name, properties = {}) {
  return make("label", {}, make("span", {}, name), make("input", { type: "text", autocomplete: "off", ...properties }));
}

const valueOf = (label) => label.querySelector("input").value.trim();
const given = (fields) => Object.fromEntries(fields.map(([name, label]) => [name, valueOf(label)]).filter(([, value]) => value));

function hint(attributes, name) {
  const value = attributes.find((each) => each.name === name)?.values[0];
  return value === undefined ? {} : { placeholder: `such as ${value}` };
}

function pictureField() {
  const told = make("span", { className: "quiet" }, "Drop a picture here, or choose one");
  const preview = make("img", { alt: "", hidden: true });
  const take = async (file) => {
    if (!file) return;
    const url = await new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(file);
    });
    picture = url.slice(url.indexOf(",") + 1);
    preview.src = url;
    preview.hidden = false;
    told.textContent = file.name;
  };
  return make(
    "label",
    { className: "drop", ondragover: (event) => event.preventDefault(), ondrop: (event) => {
      event.preventDefault();
      take(event.dataTransfer.files[0]);
    } },
    make("span", {}, "Picture"), preview, told,
    make("input", { type: "file", accept: "image/*", onchange: (event) => take(event.target.files[0]) }),
  );
}

async function put(id, body, result, { most, items }) {
  const { answer, took } = await writing((headers) => call(itemPath(id), { method: "PUT", body, headers }));
  keep({ item_id: id, title: body.title, semantic_id: answer.semantic_id, attributes: body.attributes });
  const history = answer.nearest.slice(0, NEAREST).map((near) => near.item_id);
  await learn([...history, ...answer.nearest.map((near) => near.item_id)]);
  const asked = { history, k: Math.min(DEEP, most.k), filter: [] };
  const found = (await call("recommend", { method: "POST", body: bodyOf(asked) })).answer.items;
  const place = found.findIndex((item) => item.item_id === id);
  fill(
    result,
    make("h2", {}, `${body.title} is in the catalogue`),
    make("p", { className: "quiet" }, `Kept, encoded and searchable after ${took.toFixed(0)} ms.`),
    codeTable(answer.semantic_id),
    make("h3", {}, "What it is like"),
    make("ol", { className: "list" }, answer.nearest.map((near) => make("li", {}, face(known(near.item_id))))),
    make("h3", {}, "Whom it suits"),
    make("p", {}, place < 0
      ? `To somebody who had the first ${history.length} of these it does not come among the best ${asked.k} yet: others have been used, and it has not.`
      : ["To somebody who had the first ", String(history.length), " of these it comes ", make("b", {}, ordinal(place + 1)), ` of ${(items + 1).toLocaleString("en")}.`]),
    make("p", { className: "row" },
      button("Show that", () => go({ view: "try", history, k: deepEnough(place, most.k), filter: [], mark: id })),
      button("Look at it", () => go({ item: id }), { className: "plain" })),
  );
  result.focus();
}

const deepEnough = (place, most) => [10, 20, 50, 100].find((k) => place < k && k <= most) ?? 10;

function ordinal(n) {
  const end = n % 100 > 10 && n % 100 < 14 ? "th" : { 1: "st", 2: "nd", 3: "rd" }[n % 10] ?? "th";
  return `${n}${end}`;
}
