// The key of those who may write: asked for where the service asks for it, kept until the tab closes.

import { Refused } from "./api.js";
import { button, fill, make } from "./dom.js";

let key = null;

/** Write, with the key if there is one; asks for it and writes again where it is missing or wrong. */
export async function writing(write) {
  try {
    return await write(key ? { authorization: `Bearer ${key}` } : {});
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 401) throw error;
    key = await asked(key !== null);
    if (key === null) throw error;
    return writing(write);
  }
}

function asked(again) {
  const input = make("input", { type: "password", required: true, autocomplete: "off", id: "the-key" });
  const dialog = make("dialog", { className: "small", "aria-labelledby": "key-title" });
  return new Promise((resolve) => {
    const form = make(
      "form",
      { onsubmit: (event) => {
        event.preventDefault();
        dialog.close(input.value);
      } },
      make("h2", { id: "key-title" }, again ? "That was not the key" : "Who may write has a key"),
      make("p", {}, "It is the service's BBQREC_ITEMS_KEY. This page forgets it when it is closed."),
      make("label", { for: "the-key" }, "Key"),
      input,
      make("p", { className: "row" }, make("button", {}, "Go on"), button("Never mind", () => dialog.close(""), { className: "plain" })),
    );
    fill(dialog, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue || null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
