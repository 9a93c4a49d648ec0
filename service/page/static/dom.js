// Elements without HTML: whatever a shop calls its items, it is text.

export const byId = (id) => document.getElementById(id);

/** An element. Properties that begin with "on" are listeners, those with "-" or "role" attributes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Put these in place of all that is in it. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

export function button(label, onclick, properties = {}) {
  return make("button", { type: "button", onclick, ...properties }, label);
}

/** The same call, once nothing has called for so long. */
export function calmly(call, milliseconds) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), milliseconds);
  };
}

export async function copy(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // no clipboard without TLS: leave it selected, so that a key copies it
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}
