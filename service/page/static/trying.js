// What asks the service may fail, and whoever pressed something is told.

import { Away, Refused } from "./api.js";
import { button, byId, fill } from "./dom.js";

/** Whatever failed is said, and may be tried again; the page goes on. */
export async function trying(call) {
  try {
    await call();
    say("");
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Away)) throw error;
    const may = error instanceof Away || error.status >= 500;
    say(error.message, may ? button("Try again", () => trying(call)) : null);
  }
}

function say(text, ...more) {
  fill(byId("notice"), text, ...more);
  byId("notice").hidden = !text;
}
