// How an item looks in any list.

import { ROOT, nameOf } from "./api.js";
import { mosaic } from "./codes.js";
import { make } from "./dom.js";
import { address, go, state } from "./state.js";

/** What it is, in a line: its attributes. */
export function aboutOf(item) {
  return Object.values(item.attributes ?? {})
    .flat()
    .filter((value) => value !== null && value !== "")
    .slice(0, 6)
    .join(" · ");
}

/** What it looks like, where the shop's pictures are at hand. */
export const pictureOf = (item) =>
  item.picture ? make("img", { className: "picture", alt: "", loading: "lazy", src: new URL(item.picture, ROOT) }) : null;

/** Picture, mosaic, name that opens the item, and a line below it. */
export function face(item, below) {
  return [
    pictureOf(item),
    mosaic(item.semantic_id),
    make(
      "span",
      { className: "text" },
      opener(item),
      make("span", { className: "below" }, below ?? aboutOf(item)),
    ),
  ];
}

export function opener(item) {
  return make(
    "a",
    {
      className: "name",
      href: address({ ...state, item: item.item_id }),
      onclick: (event) => {
        event.preventDefault();
        go({ item: item.item_id });
      },
    },
    nameOf(item),
  );
}
