// The conversation on the page: keeps its place when older messages come above, follows new
// ones below, and says when they have been seen.

import { el, icon } from "../dom.js";
import { explain, t } from "../i18n.js";
import { drawLine, drawMark, linesOf } from "./stream.js";
import { toast } from "./toast.js";

const NEAR_END = 60; // this close to the end (pixels), the view follows new messages
const NEAR_TOP = 400; // this close to the beginning, older messages are fetched
const SKELETONS = 5;

export function logView({ store, chat, on }) {
  const list = el("ol", { class: "stream" });
  const log = el("div", { class: "log", role: "log", tabindex: "0", "aria-label": t("log") }, list);
  const pill = el("button", { type: "button", class: "new-pill", hidden: true }, icon("down"), el("span", {}));
  const view = new LogView({ store, chat, list, log, pill });
  const loading = el("div", { class: "log-skeleton", "aria-hidden": "true" },
    ...Array.from({ length: SKELETONS }, () => el("span", { class: "skeleton bubble-skeleton" })),
  );
  const draw = () => {
    const { talk } = store;
    if (!talk) return;
    loading.hidden = talk.ready;
    if (talk.ready) view.draw(talk);
  };
  for (const topic of ["talk", "people"]) on(topic, draw);
  on("look", () => view.look());
  queueMicrotask(draw); // once it stands in the page and has a height
  return el("div", { class: "log-frame" }, loading, log, pill);
}

/** The scroll position and the lines on the page. */
class LogView {
  #drawn = new Map(); // key -> {node, sign}
  #follows = true; // whether the end is in view
  #seenHead = 0; // the newest seq when the end was last in view
  #opened = false;
  #first; // the key of the oldest line
  #drafts = 0; // own messages on their way

  constructor(parts) {
    Object.assign(this, parts);
    this.log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.pill.addEventListener("click", () => this.#toEnd());
    new ResizeObserver(() => this.#follows && this.#toEnd()).observe(this.log);
  }

  draw(talk) {
    const { log } = this;
    const fromEnd = log.scrollHeight - log.scrollTop;
    const lines = linesOf(this.store, talk, this.chat.now());
    log.setAttribute("aria-busy", "true"); // older lines and the first ones are not announced
    this.#reconcile(lines);
    const first = lines.find(({ type }) => type === "message" || type === "event")?.key;
    if (talk.pending.length > this.#drafts) this.#follows = true; // I have just written something
    this.#drafts = talk.pending.length;
    if (!this.#opened) this.#open(talk);
    else if (this.#follows) log.scrollTop = log.scrollHeight;
    else if (first !== this.#first) log.scrollTop = log.scrollHeight - fromEnd;
    this.#first = first;
    requestAnimationFrame(() => log.removeAttribute("aria-busy"));
    this.#count(talk);
    this.look();
    this.#wantOlder();
  }

  /** The first sight of a room is its first new message, or its end. */
  #open(talk) {
    this.#opened = true;
    const fresh = this.#drawn.get("new")?.node;
    if (fresh) fresh.scrollIntoView({ block: "center" });
    else this.log.scrollTop = this.log.scrollHeight;
    this.#seenHead = talk.head;
    this.#follows = this.#atEnd();
    if (document.hasFocus()) this.chat.looked();
  }

  #reconcile(lines) {
    const actions = { retry: (id) => this.chat.retry(id), discard: (id) => this.chat.discard(id) };
    const keys = new Set(lines.map(({ key }) => key));
    for (const [key, { node }] of this.#drawn) {
      if (keys.has(key)) continue;
      node.remove();
      this.#drawn.delete(key);
    }
    let place = this.list.firstChild;
    for (const line of lines) {
      const drawn = this.#drawn.get(line.key);
      const node = drawn?.sign === line.sign ? drawn.node : drawLine(line, actions);
      if (drawn && drawn.node !== node) {
        if (drawn.node === place) place = place.nextSibling;
        drawn.node.remove();
      }
      this.#drawn.set(line.key, { node, sign: line.sign });
      drawMark(node, line);
      if (node === place) place = place.nextSibling;
      else this.list.insertBefore(node, place);
    }
  }

  #scrolled() {
    this.#follows = this.#atEnd();
    if (this.#follows && this.store.talk) {
      this.#count(this.store.talk);
      this.look();
    }
    this.#wantOlder();
  }

  #atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    return scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  #toEnd() {
    this.log.scrollTop = this.log.scrollHeight;
  }

  /** The pill says how many messages have come below what is in view. */
  #count(talk) {
    if (this.#follows) this.#seenHead = talk.head;
    const below = talk.events.filter(({ seq, kind }) => kind === "message" && seq > this.#seenHead);
    this.pill.hidden = this.#follows;
    this.pill.lastChild.textContent = below.length ? t("log.below", { count: below.length }) : t("log.end");
  }

  /** Whoever has the end in view, and looks, has read it. */
  look() {
    if (this.#follows && this.log.isConnected && document.hasFocus() && !document.hidden) this.chat.looked();
  }

  #wantOlder() {
    if (this.log.scrollTop > NEAR_TOP || !this.log.isConnected) return;
    this.chat.older().catch((error) => toast(explain(error), { kind: "error" }));
  }
}
