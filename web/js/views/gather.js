// Windows in which people and rooms are found: open rooms, a new room, somebody to write to.

import { debounce, el, field, walkable } from "../dom.js";
import { explain, t } from "../i18n.js";
import { choice, form, openDialog } from "./dialog.js";
import { personPicture, roomPicture } from "./avatar.js";
import { orToast } from "./toast.js";
import { goTo } from "../route.js";

const KINDS = ["open", "group", "broadcast"];

/** A field to search with and what it finds: `find(words)` gives items, `row(item)` shows one. */
function searcher({ label, find, row, none }) {
  const list = el("ul", { class: "found", "aria-live": "polite" });
  const input = el("input", { class: "input", type: "search", placeholder: label, "aria-label": label, autocomplete: "off", autofocus: true });
  let latest = 0;
  const look = async () => {
    const turn = ++latest;
    const words = input.value.trim();
    const answer = await find(words).catch((error) => error);
    if (turn !== latest) return; // something newer is being looked for
    const nothing = answer instanceof Error ? explain(answer) : none(words);
    const rows = answer.length ? answer.map(row) : [el("li", { class: "found-none" }, nothing)];
    list.replaceChildren(...rows);
  };
  input.addEventListener("input", debounce(look));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") list.querySelector(".found-row")?.focus();
  });
  walkable(list, ".found-row");
  look();
  return el("div", { class: "searcher" }, input, list);
}

function foundRow(picture, name, words, sign, onclick) {
  const row = el("button", { type: "button", class: "found-row", onclick }, picture,
    el("span", { class: "found-words" }, el("bdi", { class: "found-name" }, name), el("span", { class: "found-note" }, words)),
    sign && el("span", { class: "tag" }, sign),
  );
  return el("li", {}, row);
}

/** Open rooms, to look at or to join. */
export function findDialog({ store, chat }) {
  const row = (room) => {
    const mine = store.rooms.has(room.room);
    const words = [t("members", { count: room.members }), room.topic].filter(Boolean).join(" · ");
    return foundRow(roomPicture(room, room.name), room.name, words, mine ? t("find.mine") : null, () => {
      close();
      goTo(room.room);
    });
  };
  const none = (words) => t(words ? "find.noMatch" : "find.none");
  const close = openDialog(t("find"), searcher({ label: t("find.search"), find: chat.findRooms, row, none }));
}

export function makeDialog({ chat }) {
  let kind = "open";
  const hint = el("p", { class: "field-hint" });
  const choose = (id) => {
    kind = id;
    hint.textContent = t(`kind.${id}.hint`);
  };
  choose(kind);
  const kinds = choice(t("make.kind"), KINDS.map((id) => ({ id, words: t(`kind.${id}`) })), kind, choose);
  const fields = [field(t("make.name"), { name: "name", required: true, maxlength: 80, autofocus: true }), el("div", { class: "field" }, kinds, hint)];
  const close = openDialog(t("make"), form(fields, t("make.do"), async ({ name }) => {
    const room = await chat.make({ name: name.trim(), kind });
    close();
    goTo(room);
  }));
}

/** Somebody to write to directly. */
export function peopleDialog({ chat }) {
  openPeople(t("direct"), chat, async (person) => goTo(await chat.direct(person.id)));
}

/** Somebody to bring into a room. */
export function addDialog({ chat }, room) {
  openPeople(t("add"), chat, (person) => chat.addMember(room, person.id));
}

function openPeople(title, chat, chosen) {
  const row = (person) => foundRow(personPicture(person.id, person.name), person.name, person.username ? `@${person.username}` : "", null, () => {
    close();
    orToast(chosen(person)).catch(() => {}); // told already
  });
  const find = async (words) => (words ? chat.findPeople(words) : []);
  const none = (words) => t(words ? "people.noMatch" : "people.search.hint");
  const close = openDialog(title, searcher({ label: t("people.search"), find, row, none }));
}
