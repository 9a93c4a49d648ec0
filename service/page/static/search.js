// A box to search titles in, as the ARIA combobox pattern has it.

import { nameOf, search } from "./api.js";
import { mosaic } from "./codes.js";
import { aboutOf } from "./items.js";
import { calmly, fill, make } from "./dom.js";

const MOST = 12;
let made = 0;

export function searchBox({ label, placeholder, chosen, failed }) {
  const id = `found-${(made += 1)}`;
  let items = [], at = -1, asked = null;

  const input = make("input", {
    type: "search", role: "combobox", autocomplete: "off", spellcheck: false, placeholder,
    "aria-expanded": "false", "aria-controls": id, "aria-autocomplete": "list", "aria-label": label,
    oninput: calmly(ask, 90), onfocus: ask, onkeydown: press,
    onblur: () => setTimeout(close, 150),
  });
  const list = make("ul", { id, role: "listbox", className: "found", hidden: true, "aria-label": label });
  const said = make("p", { className: "sr", role: "status" });

  async function ask() {
    asked?.abort();
    asked = new AbortController();
    const query = input.value;
    try {
      items = await search(query, MOST, asked.signal);
    } catch (error) {
      if (error.name !== "AbortError") failed(error);
      return;
    }
    if (document.activeElement === input) show(query);
  }

  function show(query) {
    at = query.trim() && items.length ? 0 : -1;
    const head = query.trim() ? null : make("li", { className: "head", role: "presentation" }, "What most people had");
    const rows = items.map((item, n) =>
      make("li", { id: `${id}-${n}`, role: "option", "aria-selected": "false", onmousedown: (event) => {
        event.preventDefault();
        choose(n);
      } }, mosaic(item.semantic_id), make("span", { className: "text" },
        make("span", { className: "name" }, nameOf(item)),
        make("span", { className: "below" }, aboutOf(item)))));
    const nothing = items.length ? null : make("li", { className: "head", role: "presentation" }, "Nothing is called that");
    fill(list, head, rows, nothing);
    open(true);
    point();
    said.textContent = items.length === 1 ? "1 found" : `${items.length} found`;
  }

  function open(is) {
    list.hidden = !is;
    input.setAttribute("aria-expanded", String(is));
    if (!is) input.removeAttribute("aria-activedescendant");
  }

  function close() {
    asked?.abort();
    open(false);
  }

  function point() {
    [...list.querySelectorAll("[role=option]")].forEach((row, n) => {
      row.setAttribute("aria-selected", String(n === at));
      if (n === at) row.scrollIntoView({ block: "nearest" });
    });
    if (at >= 0) input.setAttribute("aria-activedescendant", `${id}-${at}`);
    else input.removeAttribute("aria-activedescendant");
  }

  function choose(n) {
    const item = items[n];
    if (!item) return;
    input.value = "";
    close();
    chosen(item);
  }

  function press(event) {
    if (event.key === "Escape") close();
    else if (event.key === "Enter") choose(at);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (list.hidden) ask();
      else if (items.length) {
        const down = event.key === "ArrowDown";
        at = at < 0 ? (down ? 0 : items.length - 1) : (at + (down ? 1 : -1) + items.length) % items.length;
        point();
      }
    } else return;
    event.preventDefault();
  }

  return make("div", { className: "search" }, input, list, said);
}
