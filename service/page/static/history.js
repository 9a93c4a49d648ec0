// The history: what somebody had, in order. By mouse, by touch, by keyboard.

import { known, nameOf } from "./api.js";
import { face } from "./items.js";
import { button, byId, fill, make } from "./dom.js";
import { go, state } from "./state.js";

export function drawHistory() {
  const { history } = state;
  byId("history-count").textContent = history.length ? String(history.length) : "";
  byId("history-empty").hidden = history.length > 0;
  byId("clear").hidden = history.length === 0;
  fill(byId("history"), history.map(row));
}

export const add = (id) => go({ history: [...state.history, id] });

/** Which row speaks for something: the others step back. */
export function pointAt(id) {
  for (const element of byId("history").children) {
    element.classList.toggle("speaks", id !== null && element.dataset.id === id);
  }
  byId("history").classList.toggle("pointing", id !== null);
}

function row(id, n) {
  const name = nameOf(known(id));
  const last = state.history.length - 1;
  return make(
    "li",
    {
      draggable: true,
      ondragstart: (event) => event.dataTransfer.setData("text/plain", String(n)),
      ondragover: (event) => event.preventDefault(),
      ondrop: (event) => {
        event.preventDefault();
        const from = Number.parseInt(event.dataTransfer.getData("text/plain"), 10);
        if (from >= 0 && from <= last) move(from, n);
      },
      onkeydown: (event) => {
        const by = event.altKey ? { ArrowUp: -1, ArrowDown: 1 }[event.key] : undefined;
        if (by === undefined) return;
        event.preventDefault();
        if (n + by >= 0 && n + by <= last) move(n, n + by, true);
      },
      "data-id": id,
    },
    face(known(id)),
    make(
      "span",
      { className: "tools" },
      button("↑", () => move(n, n - 1, true), { "aria-label": `Move ${name} up`, disabled: n === 0 }),
      button("↓", () => move(n, n + 1, true), { "aria-label": `Move ${name} down`, disabled: n === last }),
      button("×", () => remove(n), { "aria-label": `Remove ${name}` }),
    ),
  );
}

function move(from, to, follow = false) {
  const history = [...state.history];
  history.splice(to, 0, ...history.splice(from, 1));
  const label = document.activeElement?.getAttribute("aria-label");
  go({ history });
  if (follow) focusAgain(to, label);
}

/** Where the hand was: on the same button of the row that moved, or on its name. */
function focusAgain(n, label) {
  const element = byId("history").children[n];
  const same = [...element.querySelectorAll("button")].find(
    (each) => each.getAttribute("aria-label") === label && !each.disabled,
  );
  (same ?? element.querySelector("a")).focus();
}

function remove(n) {
  go({ history: state.history.filter((_, at) => at !== n) });
  const left = byId("history").children;
  const next = left[Math.min(n, left.length - 1)]?.querySelector("button:last-child");
  (next ?? byId("search").querySelector("input")).focus();
}
