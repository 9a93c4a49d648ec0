// What the page shows, kept in its address: it can be sent to somebody, and Back goes back.
// Only ``turn`` is not: it grows where the catalogue has changed, and answers are asked for anew.

const first = () => ({ view: "try", item: null, history: [], k: 10, filter: [], scenario: null, mark: null, turn: 0 });
const listeners = new Set();
export let state = first();

/** Call it now and whenever the state changes, with the state before. */
export function follow(listener) {
  listeners.add(listener);
}

/** Change the state. What opens something else is a step that Back undoes. */
export function go(change) {
  const before = state;
  state = { ...state, ...change };
  const step = before.view !== state.view || before.item !== state.item;
  history[step ? "pushState" : "replaceState"](null, "", address());
  tell(before);
}

export function address(of = state) {
  const told = new URLSearchParams({ view: of.view });
  for (const id of of.history) told.append("h", id);
  if (of.k !== 10) told.set("k", of.k);
  if (of.filter.length) told.set("filter", JSON.stringify(of.filter));
  if (of.scenario) told.set("scenario", of.scenario);
  if (of.mark) told.set("mark", of.mark);
  if (of.item) told.set("item", of.item);
  return `#${told}`;
}

function read() {
  const told = new URLSearchParams(location.hash.slice(1));
  const filter = parsed(told.get("filter"));
  return {
    ...first(),
    view: ["try", "map", "add"].includes(told.get("view")) ? told.get("view") : "try",
    item: told.get("item"),
    history: told.getAll("h"),
    k: Math.max(1, Math.trunc(Number(told.get("k") ?? 10)) || 10),
    filter: Array.isArray(filter) ? filter.filter((each) => Array.isArray(each) && each.length === 3) : [],
    scenario: told.get("scenario"),
    mark: told.get("mark"),
  };
}

function parsed(text) {
  try {
    return JSON.parse(text ?? "[]");
  } catch {
    return [];
  }
}

function tell(before) {
  for (const listener of listeners) listener(state, before);
}

export function begin() {
  state = read();
  tell({ ...first(), view: null });
  addEventListener("popstate", () => {
    const before = state;
    state = read();
    tell(before);
  });
}
