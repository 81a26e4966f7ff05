// Names and sentences that several views say the same way.

import { t } from "../i18n.js";

/** What a room is called; a direct message bears the other person's name. */
export function roomTitle(store, room) {
  if (room.kind !== "dm") return room.name || t("room.unnamed");
  return store.nameOf(room.peer) || room.name || t("kind.dm");
}

export function personName(store, user) {
  return store.nameOf(user) ?? "…";
}

/** "Mina joined", and other things that happened to the room. */
export function happening(store, { seq, kind, from, body = {} }) {
  const who = personName(store, body.user ?? from);
  const by = personName(store, from);
  if (kind === "system") return body.text ?? "";
  if (kind === "join" && body.user && body.user !== from) return t("event.added", { who, by });
  if (kind === "room" && seq === 1) return t("event.made", { by });
  if (kind === "room") return body.name ? t("event.renamed", { by, name: body.name }) : t("event.room", { by });
  return t(`event.${kind}`, { who, by });
}
