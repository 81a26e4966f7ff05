// My account: name, password, devices, language and light, signing out.

import { el, field, icon } from "../dom.js";
import { currentLanguage, t } from "../i18n.js";
import { shortTime } from "../format.js";
import { personPicture } from "./avatar.js";
import { form, openDialog } from "./dialog.js";
import { languageChoice, themeChoice } from "./preferences.js";
import { orToast, toast } from "./toast.js";

export function accountDialog(context) {
  const { store, signOut, redraw } = context;
  const guest = store.me.role === "guest";
  openDialog(t("account"),
    nameForm(context),
    section(t("account.look"), el("div", { class: "side-by-side" }, languageChoice(redraw), themeChoice())),
    section(t("account.devices"), devices(context)),
    guest ? null : el("details", { class: "account-part" }, el("summary", {}, t("account.password.do")), passwordForm(context)),
    el("div", { class: "actions" },
      el("button", { type: "button", class: "button danger", onclick: () => signOut(true) }, t("signOut.everywhere")),
      el("button", { type: "button", class: "button", onclick: () => signOut(false) }, t("signOut")),
    ),
  );
}

function section(title, ...content) {
  return el("section", { class: "account-part" }, el("h3", {}, title), ...content);
}

function nameForm({ store, api, session }) {
  const { id, name } = store.me;
  const input = field(t("account.name"), { name: "name", required: true, maxlength: 64, value: name });
  const node = form([personPicture(id, name), input], t("save"), async (values) => {
    const me = await api.changeMe({ name: values.name.trim() });
    Object.assign(store.me, me);
    session.rename(store.me);
    store.meet(store.me);
    store.touch("me", "people");
    toast(t("account.name.done"));
  });
  node.classList.add("name-form");
  return node;
}

function passwordForm({ api }) {
  const fields = [
    field(t("account.password.old"), { name: "old", type: "password", required: true, autocomplete: "current-password" }),
    field(t("account.password.new"), { name: "fresh", type: "password", required: true, minlength: 8, autocomplete: "new-password" }, t("password.hint")),
  ];
  return form(fields, t("account.password.do"), async ({ old, fresh }, node) => {
    await api.changeMe({ current_password: old, password: fresh });
    node.reset();
    toast(t("account.password.done"));
  });
}

/** Where I am signed in; each of them can be signed out from here. */
function devices(context) {
  const list = el("ul", { class: "devices" }, el("li", { class: "skeleton" }));
  const load = async () => {
    const { items } = await context.api.sessions();
    list.replaceChildren(...items.map((item) => deviceRow(context, item, load)));
  };
  orToast(load()).catch(() => list.replaceChildren());
  return list;
}

function deviceRow({ api, chat }, { id, device, current, used_at }, reload) {
  const when = shortTime(currentLanguage(), used_at, chat.now());
  const end = () => orToast(api.endSession(id)).then(reload, () => {}); // a refusal was told
  return el("li", { class: "device" }, icon("device"),
    el("span", { class: "device-words" }, el("bdi", {}, device || t("account.device")), el("span", { class: "found-note" }, when)),
    current
      ? el("span", { class: "tag" }, t("account.device.this"))
      : el("button", { type: "button", class: "link", onclick: end }, t("signOut")),
  );
}
