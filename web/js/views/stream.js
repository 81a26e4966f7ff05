// A conversation as a list of lines: which lines there are, and what each looks like.

import { el, icon } from "../dom.js";
import { clock, dayName, dayNumber, fullTime, isEmojiOnly, pieces } from "../format.js";
import { currentLanguage, explain, t } from "../i18n.js";
import { personPicture } from "./avatar.js";
import { happening, personName } from "./words.js";

const TOGETHER_MS = 5 * 60_000; // messages of one person this close together share a name

/** The lines of a talk, each with a `key` that stays and a `sign` that changes with its looks. */
export function linesOf(store, talk, now) {
  const lines = [topLine(talk)];
  const own = talk.pending.map((draft) => ({ ...draft, kind: "message", from: talk.me, pending: true }));
  const events = talk.events.filter((event) => isTold(event, talk.info));
  const all = [...events, ...own.map((draft) => ({ ...draft, body: { text: draft.text } }))];
  all.forEach((event, i) => {
    const before = all[i - 1];
    const newDay = !before || dayNumber(before.at) !== dayNumber(event.at);
    if (newDay) lines.push(dayLine(event.at, now));
    const isFirstNew = talk.divider >= talk.first && event.seq > talk.divider && !(before?.seq > talk.divider);
    if (isFirstNew) lines.push({ key: "new", sign: currentLanguage(), type: "new" });
    if (cameIn(event) && lines.at(-1).others !== undefined) return comeTogether(store, lines.at(-1));
    const follows = !newDay && !isFirstNew && together(before, event);
    lines.push(event.kind === "message" ? messageLine(store, talk, event, follows, all[i + 1]) : eventLine(store, event));
  });
  quietMarks(lines);
  return lines;
}

/** Between two people only what they say, or would have said; elsewhere not that who made a room also came in. */
const isTold = ({ kind, seq }, room) =>
  kind === "message" || kind === "void" || (room.kind !== "dm" && !(kind === "join" && seq === 2));

/** "Delivered" and "read by everyone" are shown once, at the last message they hold for. */
function quietMarks(lines) {
  const seen = new Set();
  for (const { mark, mine } of lines.toReversed()) {
    if (!mine || !["sent", "read"].includes(mark?.state)) continue;
    mark.quiet = seen.has(mark.state);
    seen.add(mark.state);
  }
}

function topLine({ complete, loadingOlder }) {
  const type = loadingOlder ? "loading" : complete ? "beginning" : "more";
  return { key: "top", sign: type, type };
}

function dayLine(at, now) {
  const words = dayName(currentLanguage(), at, now);
  return { key: `day-${dayNumber(at)}`, sign: words, type: "day", words };
}

function eventLine(store, event) {
  const words = happening(store, event);
  const others = cameIn(event) ? 0 : undefined; // how many came in right behind
  return { key: `s${event.seq}`, sign: words, type: "event", words, from: event.from, others };
}

const cameIn = ({ kind, from, body }) => kind === "join" && (body?.user ?? from) === from;

/** Those who come in one after another share a line. */
function comeTogether(store, line) {
  line.others++;
  line.words = line.sign = t("event.joined", { who: personName(store, line.from), count: line.others });
}

const together = (before, event) =>
  before?.kind === "message" && before.from === event.from && event.at - before.at < TOGETHER_MS;

function messageLine(store, talk, event, follows, next) {
  const mine = event.from === talk.me;
  const name = personName(store, event.from);
  const sameMinute = next && together(event, next) && clock("en", next.at) === clock("en", event.at);
  const { text } = event.body;
  return {
    key: event.client_id ?? event.clientId ?? `m${event.seq}`,
    sign: [name, follows, sameMinute, event.at, event.deleted].join("\n"),
    type: "message",
    ...{ mine, name, text, follows, from: event.from, at: event.at, showTime: !sameMinute },
    deleted: event.deleted || typeof text !== "string",
    clientId: event.pending ? event.clientId : undefined,
    mark: markOf(talk, event, mine),
  };
}

/** What stands beside a message: on its way, failed, delivered, how many have not read it. */
function markOf(talk, event, mine) {
  if (event.state === "failed") return { state: "failed", error: event.error };
  if (event.state === "sending") return { state: "sending" };
  const behind = event.seq === undefined ? null : talk.unreadBy(event);
  if (behind > 0) return { state: "unread", behind, mine };
  if (!mine) return null;
  return { state: behind === 0 && talk.memberCount > 1 ? "read" : "sent" };
}

// ---- drawing --------------------------------------------------------------------------------

export function drawLine(line, actions) {
  switch (line.type) {
    case "day": return el("li", { class: "day" }, el("span", {}, line.words));
    case "new": return el("li", { class: "new-line" }, el("span", {}, t("log.new")));
    case "event": return el("li", { class: "happening", dir: "auto" }, line.words);
    case "message": return drawMessage(line, actions);
    default: return el("li", { class: `top ${line.type}` }, line.type === "more" ? "" : t(`log.${line.type}`));
  }
}

function drawMessage({ mine, name, text, follows, from, at, showTime, deleted, clientId }, actions) {
  const classes = ["message", mine ? "mine" : "theirs", follows ? "follows" : "leads"].join(" ");
  const words = deleted ? el("em", {}, t("deleted")) : textNodes(text);
  const bubble = el("p", { class: "bubble", dir: "auto" }, words);
  if (!deleted && isEmojiOnly(text)) bubble.classList.add("emoji");
  const lang = currentLanguage();
  const time = el("time", { datetime: new Date(at).toISOString(), title: fullTime(lang, at) }, clock(lang, at));
  time.classList.toggle("unseen", !showTime);
  const side = el("span", { class: "beside" }, el("span", { class: "mark" }), time);
  const who = el("bdi", { class: follows || mine ? "who unseen" : "who" }, name);
  const failed = clientId && el("span", { class: "failed-note", hidden: true },
    el("span", { class: "failed-why" }),
    el("button", { type: "button", class: "link", onclick: () => actions.retry(clientId) }, t("retry")),
    el("button", { type: "button", class: "link", onclick: () => actions.discard(clientId) }, t("discard")),
  );
  const picture = mine ? null : personPicture(from, name);
  return el("li", { class: classes }, picture, el("div", { class: "stack" }, who, el("div", { class: "bubble-line" }, bubble, side), failed));
}

function textNodes(text) {
  return pieces(text).map(({ text: words, href }) =>
    href ? el("a", { href, target: "_blank", rel: "noopener noreferrer" }, words) : words,
  );
}

const MARK_ICONS = { sending: "clock", sent: "check", read: "check-double", failed: "alert" };

/** Changes only the mark, so that a reader is not told the whole message again. */
export function drawMark(node, { mark, type }) {
  if (type !== "message") return;
  const sign = mark ? `${mark.state}${mark.behind ?? ""}` : "";
  const place = node.querySelector(".mark");
  place.classList.toggle("unseen", Boolean(mark?.quiet));
  if (node.dataset.mark === sign) return;
  node.dataset.mark = sign;
  const label = mark ? t(`mark.${mark.state}`, { count: mark.behind }) : "";
  place.title = label;
  const sight = !mark ? "" : mark.state === "unread" ? String(mark.behind) : icon(MARK_ICONS[mark.state]);
  place.replaceChildren(el("span", { "aria-hidden": "true" }, sight), el("span", { class: "unseen" }, label));
  const note = node.querySelector(".failed-note");
  if (!note) return;
  note.hidden = mark?.state !== "failed";
  if (mark?.state === "failed") note.querySelector(".failed-why").textContent = explain(mark.error);
}
