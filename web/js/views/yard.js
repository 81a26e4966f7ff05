// The yard: rooms on one side, the conversation in the middle, the people on the other. On a
// phone one of them at a time.

import { el } from "../dom.js";
import { t } from "../i18n.js";
import { roomsView } from "./rooms.js";
import { talkView } from "./talk.js";
import { membersView } from "./members.js";

/** The whole page of somebody who is signed in. */
export function yardView(context) {
  const { store, chat, on } = context;
  const yard = el("div", { class: "yard" });
  const people = {
    get shown() {
      return yard.classList.contains("with-people");
    },
    show(shown) {
      yard.classList.toggle("with-people", shown);
      if (shown && store.open) chat.loadMembers(store.open); // large rooms only tell how many
      store.touch("panel");
    },
  };
  const inside = { ...context, people };
  yard.append(roomsView(inside), talkView(inside), membersView(inside));

  const reflect = () => {
    yard.classList.toggle("in-room", Boolean(store.open));
    if (!store.talk) yard.classList.remove("with-people");
    const unread = store.unreadTotal();
    document.title = unread ? `(${unread}) ${t("app")}` : t("app");
  };
  on("open", reflect);
  on("rooms", reflect);
  reflect();

  yard.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    if (people.shown) people.show(false);
    else if (store.open) yard.querySelector(".room[aria-current]")?.focus();
  });
  return yard;
}
