// What stands where there is nothing yet, and what is said about the connection.

import { el, icon } from "../dom.js";
import { t } from "../i18n.js";

/** A quiet picture where there is nothing to show yet. */
export function emptyState(title, words, ...actions) {
  return el("div", { class: "empty" },
    el("img", { src: "/yard.svg", alt: "", width: 240, height: 180 }),
    el("h2", { dir: "auto" }, title),
    el("p", { dir: "auto" }, words),
    actions.length ? el("div", { class: "actions" }, ...actions) : null,
  );
}

/** A line that says how the connection is, when it is not simply there. */
export function connectionLine({ store, chat, on }) {
  const words = el("span", {});
  const retry = () => (store.connection.state === "stopped" ? location.reload() : chat.nudge());
  const again = el("button", { type: "button", class: "link", onclick: retry });
  const line = el("div", { class: "connection", role: "status", "aria-live": "polite" }, icon("retry"), words, again);
  const show = () => {
    const { state } = store.connection;
    line.dataset.state = state;
    again.hidden = state === "connecting" || state === "online";
    again.textContent = t(state === "stopped" ? "connection.reload" : "connection.again");
    words.textContent = state === "online" ? "" : t(`connection.${state}`);
  };
  on("connection", show);
  show();
  return line;
}
