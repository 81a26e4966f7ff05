// The list of my rooms: who wrote last, what is unread, and the ways to more rooms.

import { debounce, el, icon, iconButton, walkable } from "../dom.js";
import { currentLanguage, t } from "../i18n.js";
import { shortTime } from "../format.js";
import { personPicture, roomPicture } from "./avatar.js";
import { findDialog, makeDialog, peopleDialog } from "./gather.js";
import { accountDialog } from "./account.js";
import { roomTitle } from "./words.js";

const SKELETONS = 6;

export function roomsView(context) {
  const list = el("ul", { class: "room-list" });
  const filter = el("input", {
    class: "input",
    type: "search",
    placeholder: t("rooms.filter"),
    "aria-label": t("rooms.filter"),
    autocomplete: "off",
  });
  const draw = () => list.replaceChildren(...rows(context, filter.value.trim().toLowerCase()));
  filter.addEventListener("input", debounce(draw, 80));
  filter.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") list.querySelector(".room")?.focus();
    else if (event.key === "Escape" && filter.value) {
      event.preventDefault();
      filter.value = "";
      draw();
    }
  });
  walkable(list, ".room");
  for (const topic of ["rooms", "open", "people"]) context.on(topic, () => keepingFocus(list, draw));
  draw();

  return el("nav", { class: "rooms", "aria-label": t("rooms") },
    head(context),
    el("div", { class: "filter" }, icon("search"), filter),
    list,
    foot(context),
  );
}

/** The list is drawn anew at every change; whoever stands on a row stays there. */
function keepingFocus(list, draw) {
  const room = list.contains(document.activeElement) && document.activeElement.dataset.room;
  const { scrollTop } = list;
  draw();
  list.scrollTop = scrollTop;
  if (room) [...list.querySelectorAll(".room")].find((row) => row.dataset.room === room)?.focus();
}

function head(context) {
  const guest = context.store.me.role === "guest";
  return el("header", { class: "rooms-head" },
    el("img", { src: "/logo.svg", alt: "", width: 30, height: 30 }),
    el("h1", {}, t("app")),
    iconButton("compass", t("find"), () => findDialog(context)),
    guest ? null : iconButton("person", t("direct"), () => peopleDialog(context)),
    guest ? null : iconButton("plus", t("make"), () => makeDialog(context)),
  );
}

function rows({ store, chat }, wanted) {
  if (!store.roomsReady) return Array.from({ length: SKELETONS }, skeleton);
  const rooms = store.roomsInOrder().filter((room) => roomTitle(store, room).toLowerCase().includes(wanted));
  if (rooms.length) return rooms.map((room) => row(store, chat, room));
  const key = wanted ? "rooms.noMatch" : "rooms.none";
  return [el("li", { class: "rooms-none" }, t(key))];
}

function skeleton() {
  return el("li", { class: "skeleton-row", "aria-hidden": "true" },
    el("span", { class: "skeleton round" }),
    el("span", { class: "skeleton-lines" }, el("span", { class: "skeleton" }), el("span", { class: "skeleton short" })),
  );
}

function row(store, chat, room) {
  const title = roomTitle(store, room);
  const link = el("a", { class: "room", href: `#/r/${encodeURIComponent(room.room)}`, "data-room": room.room });
  if (room.room === store.open) {
    link.setAttribute("aria-current", "page");
    link.addEventListener("click", () => document.querySelector(".composer textarea")?.focus());
  }
  const when = room.last ? shortTime(currentLanguage(), room.last.at, chat.now()) : "";
  link.append(
    roomPicture(room, title),
    el("span", { class: "room-words" },
      el("span", { class: "room-line" }, el("bdi", { class: "room-name" }, title), el("time", {}, when)),
      el("span", { class: "room-line" }, el("span", { class: "room-last", dir: "auto" }, lastWords(store, room)), badge(room)),
    ),
  );
  return el("li", {}, link);
}

function lastWords(store, { last, kind, topic, members }) {
  if (!last) return topic || t("rooms.quiet", { members: members ?? 1 });
  const text = last.deleted ? t("deleted") : (last.body?.text ?? "").replace(/\s+/g, " ");
  if (last.from === store.me.id) return t("rooms.byMe", { text });
  const name = kind === "dm" ? null : store.nameOf(last.from);
  return name ? `${name}: ${text}` : text;
}

function badge({ unread = 0, mentions = 0 }) {
  if (!unread) return null;
  const label = t("rooms.unread", { count: unread });
  return el("span", { class: mentions ? "badge mention" : "badge", "aria-label": label }, unread > 999 ? "999+" : String(unread));
}

function foot(context) {
  const { store, on } = context;
  const button = el("button", { type: "button", class: "me", "aria-label": t("account"), onclick: () => accountDialog(context) });
  const draw = () => {
    const { id, name, username, role } = store.me;
    const state = t(`connection.short.${store.connection.state}`);
    button.replaceChildren(
      personPicture(id, name, store.connection.state === "online"),
      el("span", { class: "me-words" },
        el("bdi", { class: "me-name" }, name),
        el("span", { class: "me-state" }, role === "guest" || !username ? state : `@${username} · ${state}`),
      ),
      icon("settings"),
    );
  };
  for (const topic of ["me", "connection"]) on(topic, draw);
  draw();
  return el("footer", { class: "rooms-foot" }, button);
}
