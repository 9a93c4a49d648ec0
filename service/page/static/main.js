// The page: what it has to know first, and what to draw when something changes.

import { Refused, get, learn } from "./api.js";
import { drawAdd } from "./add.js";
import { setSpace } from "./codes.js";
import { byId, fill, make } from "./dom.js";
import { drawFilters, setAttributes } from "./filters.js";
import { add, drawHistory } from "./history.js";
import { drawItem, isOpen } from "./item.js";
import { drawMap } from "./map.js";
import { beginNext, drawNext, setCanary } from "./next.js";
import { beginSamples } from "./sample.js";
import { searchBox } from "./search.js";
import { begin, follow, go, state } from "./state.js";
import { trying } from "./trying.js";
import { drawWaiting, endWaiting } from "./waiting.js";

const AGAIN = 2000; // milliseconds between looks while no model is loaded

async function ready() {
  for (;;) {
    try {
      return await get("page/catalogue");
    } catch (error) {
      if (error instanceof Refused && error.status < 500) throw error;
      await drawWaiting();
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
    }
  }
}

function show(view) {
  for (const name of ["try", "map", "add"]) {
    byId(name).hidden = name !== view;
    const link = document.querySelector(`nav [data-view=${name}]`);
    if (name === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

async function changed(now, before, about) {
  show(now.view);
  const unopened = now.item && !isOpen();
  if (before.item !== now.item || before.view === null || unopened) trying(() => drawItem(about.map));
  if (before.view !== null && before.view !== now.view) scrollTo(0, 0);
  if (now.view === "map") await trying(drawMap);
  if (now.view !== "try") return;
  const asks = ({ history, k, filter, scenario, view, turn }) => ({ history, k, filter, scenario, view, turn });
  if (same(asks(now), asks(before))) return;
  await trying(async () => {
    drawHistory();
    if (await learn(now.history)) drawHistory();
    drawFilters();
    drawK(now.k);
    byId("scenario").value = now.scenario ?? "";
    await drawNext();
  });
}

function drawK(k) {
  const select = byId("k");
  if (![...select.options].some((each) => Number(each.value) === k)) {
    select.append(make("option", { value: k }, String(k)));
  }
  select.value = k;
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
for (const link of document.querySelectorAll("a[data-view], .brand")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    go({ view: link.dataset.view ?? "try", item: null });
  });
}

const about = await ready();
endWaiting();
setSpace(about.code_space);
setAttributes(about.attributes);
setCanary(about.canary);
beginNext(about);
byId("serving").textContent = `${about.name}, ${about.items.toLocaleString("en")} items`;
byId("legend").textContent = "The tiles beside each name are its semantic ID, the coarsest code first: "
  + "what shares a colour in the same place shares that code.";
if (about.map) document.querySelector("nav [data-view=map]").hidden = false;
if (about.samples) beginSamples(about.refit);
if (about.intake) {
  document.querySelector("nav [data-view=add]").hidden = false;
  drawAdd(about);
}
fill(byId("search"), searchBox({
  label: "Search the catalogue",
  placeholder: "Search the catalogue",
  chosen: (item) => add(item.item_id),
}));
byId("clear").addEventListener("click", () => {
  go({ history: [], mark: null });
  byId("search").querySelector("input").focus();
});
follow((now, before) => changed(now, before, about));
begin();
