// A window over the page. The browser's own `dialog` keeps the focus inside and hears Escape.

import { el, iconButton } from "../dom.js";
import { explain, t } from "../i18n.js";
import { showToastsIn } from "./toast.js";

let ids = 0;

/** Opens one; the answer closes it. A click beside it closes it too. */
export function openDialog(title, ...content) {
  const id = `dialog-${++ids}`;
  const close = () => dialog.close();
  const heading = el("h2", { id, tabIndex: -1 }, title);
  const head = el("header", { class: "dialog-head" }, heading, iconButton("close", t("close"), close));
  const dialog = el("dialog", { class: "dialog", "aria-labelledby": id }, head, el("div", { class: "dialog-body" }, ...content.filter(Boolean)));
  dialog.addEventListener("close", () => {
    showToastsIn(document.body);
    dialog.remove();
  });
  dialog.addEventListener("pointerdown", (event) => event.target === dialog && close());
  document.body.append(dialog);
  dialog.showModal();
  showToastsIn(dialog);
  (dialog.querySelector("[autofocus]") ?? heading).focus();
  return close;
}

export function closeAllDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
}

/** Asks before something that cannot be taken back. */
export function confirmDialog(title, text, action, onConfirm) {
  const no = el("button", { type: "button", class: "button quiet", onclick: () => close() }, t("cancel"));
  const yes = el("button", { type: "button", class: "button danger", onclick: () => (close(), onConfirm()) }, action);
  const close = openDialog(title, el("p", { dir: "auto" }, text), el("div", { class: "actions" }, no, yes));
}

/** A form: waits while `submit` works, and shows in words what it refused. */
export function form(fields, label, submit) {
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const button = el("button", { class: "button primary" }, label);
  const node = el("form", { class: "form" }, ...fields, problem, button);
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    button.disabled = true;
    button.classList.add("busy");
    try {
      await submit(Object.fromEntries(new FormData(node)), node);
    } catch (error) {
      problem.textContent = explain(error);
      problem.hidden = false;
    }
    button.disabled = false;
    button.classList.remove("busy");
  });
  return node;
}

/** Two to four choices side by side, one of them taken. */
export function choice(label, options, current, choose) {
  const group = el("div", { class: "choice", role: "radiogroup", "aria-label": label });
  const pick = (id) => {
    for (const button of group.children) button.setAttribute("aria-checked", String(button.value === id));
    choose(id);
  };
  for (const { id, words } of options) {
    const checked = String(id === current);
    const props = { type: "button", role: "radio", "aria-checked": checked, value: id, onclick: () => pick(id) };
    group.append(el("button", props, words));
  }
  return group;
}
