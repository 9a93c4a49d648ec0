// One item: what it says of itself, its codes, what it is like.

import { Refused, call, forget, get, itemPath, keep, known, learn, nameOf } from "./api.js";
import { codeTable } from "./codes.js";
import { face, pictureOf } from "./items.js";
import { button, byId, fill, make } from "./dom.js";
import { writing } from "./keys.js";
import { go, state } from "./state.js";

const sheet = byId("item");
let opened = null; // what had the focus before

sheet.addEventListener("close", () => state.item && go({ item: null }));
sheet.addEventListener("click", (event) => event.target === sheet && sheet.close());

/** Show the item of the state, or close. */
export async function drawItem(mapped) {
  const id = state.item;
  if (!id) return close();
  try {
    const item = await get(itemPath(id));
    await learn([id, ...[...item.by_content, ...item.by_behaviour].map((near) => near.item_id)]);
    keep({ ...item, picture: known(id).picture });
    if (state.item === id) show(item, mapped);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (state.item === id) show({ item_id: id, title: null, gone: error.message }, mapped);
  }
}

export const isOpen = () => sheet.open;

function close() {
  if (!sheet.open) return;
  sheet.close();
  opened?.focus();
}

function show(item, mapped) {
  const about = item.gone ? [make("p", {}, item.gone)] : [
    pictureOf(known(item.item_id)),
    make("dl", { className: "facts" }, facts(item).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
    make("h3", {}, "Its semantic ID"),
    make("p", { className: "quiet" }, "A code a level, the coarsest first. Things that share the first ones are of a kind."),
    codeTable(item.semantic_id),
    make("div", { className: "near" },
      near("Like it, by what they are", "the share of content codes in common", item.by_content),
      near("Like it, by who takes them", "how near the model takes them to be", item.by_behaviour)),
  ];
  fill(
    sheet,
    make("div", { className: "bar" },
      make("h2", { id: "item-title", tabIndex: -1 }, nameOf(item)),
      button("Close", () => sheet.close(), { className: "plain" })),
    item.gone ? null : actions(item, mapped),
    about,
  );
  if (!sheet.open) {
    opened = document.activeElement;
    sheet.showModal();
  }
  sheet.scrollTop = 0;
  byId("item-title").focus();
}

const facts = (item) => [
  ["Id", item.item_id],
  ...Object.entries(item.attributes).map(([name, value]) => [name, [value].flat().join(", ")]),
  ["Known", item.source === "live" ? `since it was put while the service ran, version ${item.version}` : "since training"],
];

function near(title, hint, items) {
  return make(
    "section",
    {},
    make("h3", {}, title),
    make("p", { className: "quiet" }, hint),
    make("ol", { className: "list" }, items.map((each) =>
      make("li", {}, face(known(each.item_id)), make("span", { className: "score" }, each.score.toFixed(2))))),
  );
}

function actions(item, mapped) {
  const told = make("span", { role: "status", className: "quiet" });
  return make(
    "p",
    { className: "row" },
    button("Add to the history", () => go({ item: null, view: "try", history: [...state.history, item.item_id] })),
    button("What follows it alone?", () => go({ item: null, view: "try", history: [item.item_id] })),
    mapped ? button("Find it on the map", () => go({ item: null, view: "map", mark: item.item_id })) : null,
    item.source === "live" ? button("Delete it", () => remove(item, told), { className: "plain" }) : null,
    told,
  );
}

async function remove(item, told) {
  try {
    await writing((headers) => call(itemPath(item.item_id), { method: "DELETE", headers }));
  } catch (error) {
    told.textContent = error.message;
    return;
  }
  forget(item.item_id);
  go({ item: null, mark: null, turn: state.turn + 1, history: state.history.filter((id) => id !== item.item_id) });
}
