// The middle: one room's head, its conversation, and the place to write.

import { el, iconButton } from "../dom.js";
import { explain, t } from "../i18n.js";
import { goTo } from "../route.js";
import { roomPicture } from "./avatar.js";
import { composerView } from "./composer.js";
import { confirmDialog } from "./dialog.js";
import { makeDialog } from "./gather.js";
import { logView } from "./log.js";
import { toast } from "./toast.js";
import { personName, roomTitle } from "./words.js";
import { connectionLine, emptyState } from "./states.js";

export function talkView(context) {
  const { store } = context;
  const heard = []; // what the views of the open room listen to, until another is opened
  const inside = { ...context, on: (topic, listener) => heard.push(store.on(topic, listener)) };
  const line = connectionLine(context);
  const main = el("main", { class: "talk" });
  let shown; // what is drawn: a room, a preview, or nothing
  const draw = () => {
    const now = `${store.open}/${Boolean(store.talk)}/${Boolean(store.preview)}`;
    if (now === shown) return;
    shown = now;
    for (const stop of heard.splice(0)) stop();
    main.replaceChildren(line, ...content(inside));
    if (store.talk && matchMedia("(hover: hover)").matches) main.querySelector("textarea")?.focus();
  };
  context.on("open", draw);
  draw();
  return main;
}

function content(context) {
  const { store } = context;
  if (store.talk) return [head(context), logView(context), typingLine(context), composerView(context)];
  if (store.preview) return [previewOf(context, store.preview)];
  if (store.open) return [];
  const make = el("button", { type: "button", class: "button primary", onclick: () => makeDialog(context) }, t("make"));
  const actions = store.me.role === "guest" ? [] : [make];
  return [emptyState(t("welcome", { name: store.me.name }), t("welcome.words"), ...actions)];
}

/** A room that I am not in yet: what it is, and the way in. */
function previewOf({ chat }, room) {
  const back = el("button", { type: "button", class: "button quiet", onclick: () => goTo(null) }, t("back"));
  const enter = async () => {
    join.disabled = true;
    await chat.join(room.room).catch((error) => toast(explain(error), { kind: "error" }));
    join.disabled = false;
  };
  const join = el("button", { type: "button", class: "button primary", onclick: enter }, t("join"));
  return emptyState(room.name, room.topic || t("members", { count: room.members }), back, join);
}

function head(context) {
  const { store, people, on } = context;
  const picture = el("span", { class: "head-picture" });
  const title = el("bdi", {});
  const words = el("p", { class: "head-words" });
  const leave = iconButton("leave", t("leave"), () => askToLeave(context));
  const who = iconButton("people", t("members.show"), () => people.show(!people.shown), { "aria-expanded": "false" });
  const draw = () => {
    const room = store.rooms.get(store.open);
    if (!room || !store.talk) return;
    const name = roomTitle(store, room);
    title.textContent = name;
    picture.replaceChildren(roomPicture(room, name));
    leave.hidden = room.kind === "dm"; // two people stay two people
    words.textContent = headWords(store.talk, room);
    who.setAttribute("aria-expanded", String(people.shown));
  };
  for (const topic of ["talk", "rooms", "members", "people", "panel"]) on(topic, draw);
  draw();
  return el("header", { class: "talk-head" },
    iconButton("back", t("back"), () => goTo(null), { class: "icon-button back" }),
    picture,
    el("div", { class: "head-title" }, el("h2", {}, title), words),
    who,
    leave,
  );
}

function headWords(talk, room) {
  if (!talk.ready) return t("loading");
  if (room.kind === "dm") {
    const peer = talk.members.get(room.peer) ?? [...talk.members.values()].find(({ user }) => user !== talk.me);
    return peer ? t(peer.online ? "members.online" : "members.offline") : "";
  }
  const here = t("online", { count: talk.onlineCount });
  return [room.topic, t("members", { count: talk.memberCount }), here].filter(Boolean).join(" · ");
}

function askToLeave({ store, chat }) {
  const room = store.rooms.get(store.open);
  const leave = () => chat.leave(room.room).catch((error) => toast(explain(error), { kind: "error" }));
  confirmDialog(t("leave"), t("leave.sure", { name: roomTitle(store, room) }), t("leave"), leave);
}

/** Who writes right now. */
function typingLine({ store, on }) {
  const line = el("p", { class: "typing", "aria-live": "polite" });
  let timer;
  const draw = () => {
    clearTimeout(timer);
    const users = store.talk?.typers(Date.now()) ?? [];
    const names = users.map((user) => personName(store, user));
    line.textContent = names.length ? t("typing", { names, count: names.length }) : "";
    line.classList.toggle("some", names.length > 0);
    if (names.length) timer = setTimeout(draw, 1000); // it fades by itself
  };
  on("typing", draw);
  return line;
}
