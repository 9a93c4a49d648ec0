// Somebody of the test part: what they had, and what they really took next.

import { get, known, learn } from "./api.js";
import { face } from "./items.js";
import { byId, fill, make } from "./dom.js";
import { setTaken } from "./next.js";
import { follow, go } from "./state.js";
import { trying } from "./trying.js";

let users = null, turn = 0, shown = null;

export function beginSamples(refit) {
  const another = byId("sample");
  another.hidden = false;
  another.addEventListener("click", () => trying(async () => {
    users ??= shuffled((await get("page/samples")).users);
    const user = users[turn % users.length];
    await learn([...user.history, user.took]);
    turn += 1;
    shown = user;
    setTaken([user.took]);
    another.textContent = "Take somebody else";
    go({ history: user.history, filter: [], mark: null });
    tell(user, refit);
  }));
  follow((now) => { // a history that was changed is nobody's
    if (!shown || JSON.stringify(now.history) === JSON.stringify(shown.history)) return;
    shown = null;
    setTaken([]);
    fill(byId("took"));
    another.textContent = "Take somebody real";
  });
}

function tell(user, refit) {
  fill(
    byId("took"),
    make("h3", {}, "What they really took next"),
    make("ol", { className: "list" }, make("li", {}, face(known(user.took)))),
    make("p", { className: "hint" }, refit
      ? "The last ten steps of somebody in the test part. The model in service has since learned from all of them, so this shows how it works; how well it does is measured by one that had not."
      : "The last ten steps of somebody in the test part, whose next one the model has never seen."),
  );
}

function shuffled(list) {
  const given = [...list];
  for (let n = given.length - 1; n > 0; n -= 1) {
    const other = Math.floor(Math.random() * (n + 1));
    [given[n], given[other]] = [given[other], given[n]];
  }
  return given;
}
