// Short notes in the corner: what went wrong, and what to do.

import { el, icon, iconButton } from "../dom.js";
import { explain, t } from "../i18n.js";

const STAYS_MS = 7000;

const place = document.getElementById("toasts");

/** Notes stand above an open window, and inside it, where they can be reached. */
export function showToastsIn(parent) {
  parent.append(place);
}

export function toast(text, { kind = "info" } = {}) {
  const note = el("div", { class: `toast ${kind}` }, icon(kind === "error" ? "alert" : "check"), el("p", { dir: "auto" }, text));
  const gone = () => note.remove();
  note.append(iconButton("close", t("close"), gone));
  place.append(note);
  setTimeout(gone, STAYS_MS);
}

/** For promises whose failure the person should hear of. */
export function orToast(promise) {
  return promise.catch((error) => {
    toast(explain(error), { kind: "error" });
    throw error;
  });
}
