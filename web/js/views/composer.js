// The place to write. Enter sends, Shift+Enter begins a new line.

import { el, iconButton } from "../dom.js";
import { utf8Length } from "../format.js";
import { t } from "../i18n.js";
import { toast } from "./toast.js";

const LONGEST_BYTES = 32 * 1024; // of one message, as the protocol says
const TALLEST = 180; // pixels; a longer text scrolls
const TYPING_AGAIN_MS = 3000;
const TYPING_OVER_MS = 5000;

export function composerView(context) {
  const { store, chat } = context;
  const { open } = store;
  const text = el("textarea", {
    rows: 1,
    placeholder: t("write"),
    "aria-label": t("write"),
    enterkeyhint: "send",
    dir: "auto",
    value: store.notes.get(open) ?? "",
  });
  const send = iconButton("send", t("send"), null, { type: "submit", class: "icon-button send" });
  const hint = typingHint(chat);

  const fit = () => {
    text.style.height = "auto";
    text.style.height = `${Math.min(text.scrollHeight, TALLEST)}px`;
    send.disabled = !text.value.trim();
  };
  const submit = () => {
    const words = text.value.trim();
    if (!words) return;
    const bytes = utf8Length(words);
    if (bytes > LONGEST_BYTES) return toast(t("write.tooLong", { over: bytes - LONGEST_BYTES }), { kind: "error" });
    chat.send(words);
    hint.over();
    store.notes.delete(open);
    text.value = "";
    fit();
  };
  text.addEventListener("input", () => {
    store.notes.set(open, text.value);
    fit();
    hint.writes(Boolean(text.value.trim()));
  });
  text.addEventListener("keydown", (event) => {
    const composing = event.isComposing || event.keyCode === 229; // a Korean syllable in the making
    if (event.key !== "Enter" || event.shiftKey || composing) return;
    event.preventDefault();
    submit();
  });
  queueMicrotask(fit);

  const form = el("form", { class: "composer" }, text, send);
  const note = el("p", { class: "composer-note", hidden: true }, t("write.notHere"));
  const allow = () => {
    const { info, role } = store.talk ?? {};
    note.hidden = !(info?.kind === "broadcast" && role === "member");
    form.hidden = !note.hidden;
  };
  context.on("talk", allow);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
    text.focus();
  });
  return el("div", { class: "writing" }, form, note);
}

/** Tells the room that I write, now and then while I do, and that I have stopped. */
function typingHint(chat) {
  let toldAt = 0;
  let timer;
  const over = () => {
    clearTimeout(timer);
    if (toldAt) chat.typing(false);
    toldAt = 0;
  };
  const writes = (something) => {
    if (!something) return over();
    clearTimeout(timer);
    timer = setTimeout(over, TYPING_OVER_MS);
    if (Date.now() - toldAt < TYPING_AGAIN_MS) return;
    toldAt = Date.now();
    chat.typing(true);
  };
  return { writes, over };
}
