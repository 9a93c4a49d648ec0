// What the page asks of the service. Paths go from where the service is found, be it under a prefix.

export const ROOT = new URL("../../", import.meta.url);

// Who is to answer, whoever it would be else.
export const CANARY = "canary", CURRENT = "current";

/** What the service answered in place of what was asked for. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.errors?.length ? problem.errors.map(named).join("; ") : problem.detail);
    this.status = status;
  }
}

/** No answer came, or not all of it. */
export class Away extends Error {
  constructor() {
    super("The service cannot be reached.");
  }
}

const named = ({ field, message }) => `${field.replace(/^(body|query)\.?/, "")} ${message}`.trim();

/** The answer, its headers, and how long it took, in milliseconds. */
export async function call(path, { method = "GET", body, headers = {}, role = CURRENT, signal } = {}) {
  const begun = performance.now();
  const response = await fetch(new URL(path, ROOT), {
    method,
    signal,
    headers: { ...headers, "x-generation": role, ...(body && { "content-type": "application/json" }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  }).catch(gone);
  const took = performance.now() - begun;
  const answer = await response.json().catch((error) => response.ok ? gone(error) : {});
  if (!response.ok) {
    const detail = answer.detail ?? `The service answered ${response.status}.`;
    throw new Refused(response.status, { ...answer, detail });
  }
  return { answer, took, within: within(response) };
}

function gone(error) {
  throw error.name === "AbortError" ? error : new Away();
}

/** Of that, what the service itself needed, as it says: milliseconds by part, in its order. */
function within(response) {
  const told = (response.headers.get("server-timing") ?? "").matchAll(/(\w+);dur=([\d.]+)/g);
  return new Map([...told].map(([, part, took]) => [part, Number(took)]));
}

export const get = async (path, signal) => (await call(path, { signal })).answer;

export const itemPath = (id) => `items/${id.split("/").map(encodeURIComponent).join("/")}`;

export const search = async (query, limit, signal) => {
  const { items } = await get(`items?${new URLSearchParams({ query, limit })}`, signal);
  items.forEach(keep);
  return items;
};

// What is known of items, by id: what a list of ids is drawn from.
const kept = new Map();

export const keep = (item) => kept.set(item.item_id, item);
export const known = (id) => kept.get(id) ?? { item_id: id, title: null, semantic_id: null, attributes: {} };
export const forget = (id) => kept.delete(id);
export const nameOf = (item) => item.title || item.item_id;

/** See to it that all that can be known of these is; whether anything was asked for. */
export async function learn(ids, most = 100) {
  const missing = [...new Set(ids)].filter((id) => !kept.has(id));
  for (let n = 0; n < missing.length; n += most) {
    const asked = missing.slice(n, n + most).map((id) => ["item_id", id]);
    (await get(`items?${new URLSearchParams(asked)}`)).items.forEach(keep);
  }
  return missing.length > 0;
}
