// Pictures for people and rooms: coloured letters.

import { el, icon } from "../dom.js";
import { hue, initials, roomInitials } from "../format.js";

const KIND_ICONS = { broadcast: "horn" };

function coloured(node, id) {
  node.style.setProperty("--hue", hue(id));
  return node;
}

export function personPicture(id, name, online) {
  const picture = el("span", { class: "picture", "aria-hidden": "true" }, name ? initials(name) : "");
  if (online !== undefined) picture.classList.add(online ? "online" : "offline");
  return coloured(picture, id);
}

/** A room has corners, a person is round: a direct message shows the person. */
export function roomPicture(room, title) {
  if (room.kind === "dm") return personPicture(room.peer ?? title, title);
  const sign = KIND_ICONS[room.kind] ? icon(KIND_ICONS[room.kind]) : roomInitials(title);
  return coloured(el("span", { class: "picture square", "aria-hidden": "true" }, sign), room.room);
}
