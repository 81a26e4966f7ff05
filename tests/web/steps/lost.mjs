// What the log could not keep is a line in its place; other fillers of numbers are nothing.

import { assert } from "../support.mjs";

export async function lost({ mina }) {
  for (const kind of ["open", "dm"]) {
    const shown = await mina.page.evaluate(linesWithVoids, kind);
    assert.deepEqual(shown.map(({ type }) => type), ["message", "event", "message", "event"], kind);
    assert.equal(shown[1].from, "b", "in its place");
    assert.match(shown[1].words, /Jun/);
  }
}

/** Runs in the page: the lines of a talk in which numbers were filled, in a snapshot and after. */
async function linesWithVoids(kind) {
  const { Talk } = await import("/js/talk.js");
  const { linesOf } = await import("/js/views/stream.js");
  const [store, talk, at] = [{ nameOf: () => "Jun" }, new Talk("room", "me"), Date.now()];
  const message = (seq) => ({ seq, kind: "message", from: "a", at, body: { text: `${seq}` } });
  const filler = (seq, body) => ({ seq, kind: "void", from: "b", at, body });
  const events = [message(3), filler(4, { lost: true }), filler(5, { repeats: true }), filler(6, {}), message(7)];
  talk.begin({ events, head: 7, info: { kind }, me: { role: "member", read: 7, unread: 0 }, members: 2 });
  talk.add(filler(8, { lost: true }));
  talk.add(filler(9, {}));
  const told = linesOf(store, talk, at).filter(({ type }) => ["message", "event"].includes(type));
  return told.map(({ type, words, from }) => ({ type, words, from }));
}
