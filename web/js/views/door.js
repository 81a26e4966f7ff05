// The door: signing in, signing up, and coming in as a guest where the node allows it.

import { el, field } from "../dom.js";
import { t } from "../i18n.js";
import { form } from "./dialog.js";
import { languageChoice, themeChoice } from "./preferences.js";

const USERNAME = { name: "username", required: true, maxlength: 64, autocapitalize: "none", spellcheck: "false" };
const PASSWORD = { name: "password", type: "password", required: true };

/** Shows the door; `entered` is called with the person who came in. */
export function doorView({ api, store, entered, redraw }) {
  const enter = (how) => async (values) => entered(await how(values));
  const forms = {
    "sign-in": () => form(
      [
        field(t("username"), { ...USERNAME, autocomplete: "username" }),
        field(t("password"), { ...PASSWORD, autocomplete: "current-password" }),
      ],
      t("signIn"),
      enter(api.signIn),
    ),
    "sign-up": () => form(
      [
        field(t("displayName"), { name: "name", required: true, maxlength: 64, autocomplete: "name" }, t("displayName.hint")),
        field(t("username"), { ...USERNAME, autocomplete: "username" }, t("username.hint")),
        field(t("password"), { ...PASSWORD, autocomplete: "new-password", minlength: 8 }, t("password.hint")),
      ],
      t("signUp"),
      enter(api.signUp),
    ),
    guest: () => form(
      [field(t("guestName"), { name: "name", required: true, maxlength: 64, autocomplete: "nickname" }, t("guest.hint"))],
      t("guestIn"),
      enter(api.guest),
    ),
  };
  const tabs = el("div", { class: "choice tabs", role: "tablist", "aria-label": t("door") });
  const place = el("div", { class: "door-form", role: "tabpanel" });

  function show(kind) {
    for (const tab of tabs.children) tab.setAttribute("aria-selected", String(tab.value === kind));
    place.replaceChildren(forms[kind]());
    place.querySelector("input").focus();
  }

  const kinds = ["sign-in", "sign-up", ...(store.features.guests ? ["guest"] : [])];
  for (const kind of kinds) {
    const props = { type: "button", role: "tab", value: kind, onclick: () => show(kind) };
    tabs.append(el("button", props, t(`door.${kind}`)));
  }
  show("sign-in");

  return el("main", { class: "door" },
    el("section", { class: "door-card" },
      el("img", { class: "door-logo", src: "/logo.svg", alt: "", width: 64, height: 64 }),
      el("h1", {}, t("app")),
      el("p", { class: "door-words" }, t("tagline")),
      tabs,
      place,
    ),
    el("img", { class: "door-yard", src: "/yard.svg", alt: "" }),
    el("footer", { class: "door-foot" }, languageChoice(redraw), themeChoice()),
  );
}
