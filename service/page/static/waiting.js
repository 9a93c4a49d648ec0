// Before there is a model: how far its training is.

import { Away, Refused, get } from "./api.js";
import { byId, fill, make } from "./dom.js";

const MINUTE = 60;

/** What there is to say now. */
export async function drawWaiting() {
  byId("waiting").hidden = false;
  byId("try").hidden = true;
  let standing = null;
  try {
    standing = await get("page/training");
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Away)) throw error;
  }
  fill(byId("standing"), standing ? told(standing) : make("p", {}, "It has no model yet, or is loading one."));
}

export function endWaiting() {
  byId("waiting").hidden = true;
}

function told({ stage, title, number, of, state, share, message, seconds }) {
  if (state === "failed") {
    return [
      make("p", {}, `Its training has failed at stage ${stage} (${number} of ${of}).`),
      make("p", { className: "notice" }, message ?? "What failed is in the training's log."),
    ];
  }
  const done = number - 1 + (state === "done" ? 1 : share ?? 0);
  return [
    make("progress", { max: of, value: done, "aria-label": "Training" }),
    make("p", {}, state === "done" && number === of
      ? "Training is done; the model is being loaded."
      : `Stage ${number} of ${of}, ${stage}: ${title}`),
    make("p", { className: "quiet" }, state === "running" ? `for ${since(seconds)}` : ""),
  ];
}

const since = (seconds) => seconds < MINUTE ? `${Math.round(seconds)} s` : `${Math.floor(seconds / MINUTE)} min ${Math.round(seconds % MINUTE)} s`;
