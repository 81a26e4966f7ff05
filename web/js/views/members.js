// Who is here: the members of the open room, those who are online first.

import { el, iconButton } from "../dom.js";
import { t } from "../i18n.js";
import { goTo } from "../route.js";
import { personPicture } from "./avatar.js";
import { addDialog } from "./gather.js";
import { orToast } from "./toast.js";
import { personName } from "./words.js";

export function membersView(context) {
  const { store, people, on } = context;
  const body = el("div", { class: "members-body" });
  const add = el("button", { type: "button", class: "button quiet wide", onclick: () => addDialog(context, store.open) }, t("add"));
  const draw = () => {
    const { talk } = store;
    add.hidden = talk?.info.kind !== "group" || store.me.role === "guest";
    body.replaceChildren(...(talk?.membersReady ? groups(context, talk) : [el("p", { class: "found-none" }, t("loading"))]));
  };
  for (const topic of ["open", "members", "people", "me"]) on(topic, draw);
  draw();

  return el("aside", { class: "members", "aria-label": t("members.here") },
    el("header", { class: "members-head" },
      el("h2", {}, t("members.title")),
      iconButton("close", t("close"), () => people.show(false)),
    ),
    body,
    add,
  );
}

function groups(context, talk) {
  const { store } = context;
  const byName = (a, b) => personName(store, a.user).localeCompare(personName(store, b.user));
  const all = [...talk.members.values()].sort(byName);
  const hidden = talk.memberCount - all.length;
  return [
    group(context, t("members.online"), all.filter(({ online }) => online)),
    group(context, t("members.offline"), all.filter(({ online }) => !online)),
    hidden > 0 ? el("p", { class: "found-none" }, t("members.more", { count: hidden })) : null,
  ].filter(Boolean);
}

function group(context, title, members) {
  if (!members.length) return null;
  return el("section", {},
    el("h3", {}, `${title} · ${members.length}`),
    el("ul", {}, ...members.map((member) => row(context, member))),
  );
}

function row({ store, chat, people }, { user, role, online }) {
  const name = personName(store, user);
  const mine = user === store.me.id;
  const write = () => orToast(chat.direct(user)).then((room) => {
    people.show(false);
    goTo(room);
  }, () => {}); // a refusal was told
  const words = [
    personPicture(user, name, online),
    el("bdi", { class: "member-name" }, name),
    mine ? el("span", { class: "tag" }, t("me")) : null,
    role && role !== "member" ? el("span", { class: "tag" }, t(`role.${role}`)) : null,
    el("span", { class: "unseen" }, t(online ? "members.online" : "members.offline")),
  ];
  if (mine || store.me.role === "guest") return el("li", { class: "member" }, ...words);
  const label = t("direct.to", { name });
  return el("li", {}, el("button", { type: "button", class: "member", title: label, onclick: write }, ...words));
}
