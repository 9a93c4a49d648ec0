// A box to search titles in, as the ARIA combobox pattern has it.

import { nameOf, search } from "./api.js";
import { mosaic } from "./codes.js";
import { aboutOf } from "./items.js";
import { calmly, fill, make } from "./dom.js";
import { trying } from "./trying.js";

const MOST = 12, LONGEST = 200; // items; letters, as the service has it
let made = 0;

export function searchBox({ label, placeholder, chosen }) {
  const id = `found-${(made += 1)}`;
  let items = [], at = -1, asked = null;
  let answered = null, hurried = false; // what these items are found by; Enter came before them
  const askSoon = calmly(() => input.value !== answered && ask(), 90);

  const input = make("input", {
    type: "search", role: "combobox", autocomplete: "off", spellcheck: false, placeholder, maxLength: LONGEST,
    "aria-expanded": "false", "aria-controls": id, "aria-autocomplete": "list", "aria-label": label,
    oninput: () => { hurried = false; askSoon(); }, onfocus: ask, onkeydown: press,
    onblur: () => setTimeout(close, 150),
  });
  const list = make("ul", { id, role: "listbox", className: "found", hidden: true, "aria-label": label });
  const said = make("p", { className: "sr", role: "status" });

  async function ask() {
    asked?.abort();
    asked = new AbortController();
    const query = input.value;
    const { signal } = asked;
    await trying(async () => {
      try {
        items = await search(query, MOST, signal);
      } catch (error) {
        if (error.name !== "AbortError") throw error;
        return;
      }
      answered = query;
      if (document.activeElement !== input) return;
      show(query);
      if (hurried) choose(at);
    });
  }

  /** What was found by less than what is typed is not what is meant: that is waited for. */
  function enter() {
    if (input.value === answered) {
      if (!list.hidden) choose(at);
    } else {
      hurried = true;
      ask();
    }
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
    hurried = false;
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
    input.value = answered = "";
    [items, at] = [[], -1];
    close();
    chosen(item);
  }

  function press(event) {
    if (event.key === "Escape") close();
    else if (event.key === "Enter") enter();
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
