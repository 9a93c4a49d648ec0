// What is recommended, why, how fast, and the request to ask it oneself.

import { CANARY, CURRENT, ROOT, Refused, call, known, learn, nameOf } from "./api.js";
import { filterOf } from "./filters.js";
import { add, pointAt } from "./history.js";
import { face, opener } from "./items.js";
import { byId, button, copy, fill, make } from "./dom.js";
import { go, state } from "./state.js";

const NOTHING = "Nothing is left that may be recommended.";
let asked = null, taken = new Set(), canary = false;

export const setCanary = (is) => (canary = is);

/** What somebody really took afterwards: marked where it is recommended. */
export function setTaken(ids) {
  taken = new Set(ids);
}

export function bodyOf({ history, k, filter, scenario }) {
  return {
    history, k, explain: true,
    ...(filter.length && { filter: filterOf(filter) }),
    ...(scenario && { scenario }),
  };
}

const ask = (body, role, signal) => call("recommend", { method: "POST", body, role, signal });

/** What the canary would say, or why it says nothing: it may have ended, or lack what is asked for. */
async function askCanary(body, signal) {
  try {
    return await ask(body, CANARY, signal);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    canary = error.status !== 503;
    return { refused: error.message };
  }
}

/** Ask anew; an answer that nobody waits for any more is dropped. Throws Refused. */
export async function drawNext() {
  asked?.abort();
  const { signal } = (asked = new AbortController());
  const body = bodyOf(state);
  drawCurl(body);
  byId("next").setAttribute("aria-busy", "true");
  try {
    const found = await ask(body, CURRENT, signal);
    const other = canary ? await askCanary(body, signal) : null;
    await learn([found, other].flatMap((each) => each?.answer?.items ?? []).map((item) => item.item_id));
    if (signal.aborted) return;
    draw(found, other);
    byId("next").removeAttribute("aria-busy"); // where it fails, what is shown answers another request
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
}

function draw({ answer, took, within }, other) {
  const { items, fallback, unknown_items: unknown } = answer;
  byId("next-title").textContent = fallback ? "What most people had" : "Next for them";
  byId("timing").textContent = timing(took, within);
  tellFallback(fallback, unknown, items.length);
  fill(byId("next"), items.map((item, n) => row(item, n, items, fallback)));
  byId("told").textContent = items.length
    ? `${items.length} ${fallback ? "popular items" : "recommendations"}, first ${nameOf(known(items[0].item_id))}`
    : NOTHING;
  drawCompare(items, other);
  if (state.mark) byId("next").querySelector(".marked")?.scrollIntoView({ block: "center" });
}

function timing(took, within) {
  if (!within.has("total")) return `${took.toFixed(0)} ms`;
  const parts = [...within].filter(([part]) => part !== "total");
  const told = parts.map(([part, ms]) => `${part} ${ms.toFixed(1)}`).join(", ");
  const there = `${within.get("total").toFixed(1)} ms in the service${told && ` (${told})`}`;
  return `${there}, ${took.toFixed(0)} ms with the way there`;
}

function tellFallback(fallback, unknown, found) {
  const told = [];
  if (unknown.length) told.push(`Nothing is known of ${unknown.join(", ")}.`);
  if (!found) told.push(NOTHING);
  else if (fallback && state.history.length) told.push("So these are the most used items.");
  byId("fallback").textContent = told.join(" ");
  byId("fallback").hidden = told.length === 0;
}

function row(item, n, items, fallback) {
  const of = known(item.item_id);
  const name = nameOf(of);
  const came = taken.has(item.item_id);
  const marked = item.item_id === state.mark;
  const row = make(
    "li",
    {
      className: [came && "came", marked && "marked"].filter(Boolean).join(" "),
      onmouseenter: () => pointAt(item.because),
      onmouseleave: () => pointAt(null),
      onfocusin: () => pointAt(item.because),
      onfocusout: () => pointAt(null),
    },
    face(of, fallback ? undefined : why(item)),
    came ? make("span", { className: "badge" }, "they took this") : null,
    (item.rules ?? []).map((rule) => make("span", { className: "badge rule" }, rule)),
    marked ? make("span", { className: "badge" }, "new") : null,
    score(item, items, fallback),
    make("span", { className: "tools" }, button("+", () => add(item.item_id), { "aria-label": `Add ${name} to the history` })),
  );
  row.style.setProperty("--n", n);
  return row;
}

const WHY = { after: "often taken after ", alike: "described like ", history: "suits it all, and most " };

function why({ because, reason }) {
  if (!because) return undefined;
  return make("span", {}, WHY[reason] ?? "because of ", make("b", {}, nameOf(known(because))));
}

function score(item, items, fallback) {
  const best = items[0].score, least = items.at(-1).score;
  const share = best > least ? (item.score - least) / (best - least) : 1;
  const told = fallback ? `${Math.round(10 * item.score) / 10} uses` : item.score.toFixed(2);
  const element = make("span", { className: "score" }, make("span", { className: "sr" }, fallback ? "" : "Score "), told);
  element.style.setProperty("--share", (0.06 + 0.94 * share).toFixed(3));
  return element;
}

/** Of the generation that is tried on some of the traffic: what it would say, marked where it differs. */
function drawCompare(items, other) {
  if (!other) return fill(byId("compare"));
  const title = make("h3", {}, "The canary would say");
  if (other.refused) return fill(byId("compare"), title, make("p", { className: "hint" }, other.refused));
  const theirs = other.answer.items;
  const place = new Map(items.map((item, n) => [item.item_id, n]));
  const rows = theirs.map((item, n) => {
    const before = place.get(item.item_id);
    const told = before === undefined ? "new here" : before === n ? "" : before > n ? `↑ ${before - n}` : `↓ ${n - before}`;
    return make("li", { className: told ? "differs" : "" }, face(known(item.item_id)),
      told ? make("span", { className: "badge" }, told) : null);
  });
  const here = new Set(theirs.map((item) => item.item_id));
  const missing = items.filter((item) => !here.has(item.item_id)).map((item) => opener(known(item.item_id)));
  const same = items.every((item, n) => theirs[n]?.item_id === item.item_id);
  return fill(
    byId("compare"),
    title,
    same ? make("p", { className: "hint" }, "The same, in the same order.") : null,
    make("ol", { className: "list ranked" }, rows),
    missing.length
      ? make("p", { className: "hint" }, "No longer among them: ", missing.flatMap((each, n) => (n ? [", ", each] : [each])))
      : null,
  );
}

function drawCurl(body) {
  const quoted = JSON.stringify(body).replaceAll("'", "'\\''");
  byId("curl").textContent =
    `curl -s ${new URL("recommend", ROOT)} \\\n  -H 'content-type: application/json' \\\n  -d '${quoted}'`;
  byId("copied").textContent = "";
}

export function beginNext({ most, scenarios }) {
  byId("scenario").parentElement.hidden = scenarios.length === 0;
  fill(byId("scenario"), ["", ...scenarios].map((name) => make("option", { value: name }, name || "none")));
  byId("scenario").addEventListener("change", () => go({ scenario: byId("scenario").value || null }));
  fill(byId("k"), [5, 10, 20, 50, 100].filter((k) => k <= most.k).map((k) => make("option", { value: k }, String(k))));
  byId("k").addEventListener("change", () => go({ k: Number(byId("k").value) }));
  byId("copy").addEventListener("click", async () => {
    byId("copied").textContent = (await copy(byId("curl").textContent, byId("curl"))) ? "Copied" : "Selected: copy it by hand";
  });
}
