// The client's protocol module by itself: away for longer than a snapshot reaches back, it still
// hands on every event once and in order.

import { assert } from "../support.mjs";

const MISSED = 260; // more than the 200 events that a snapshot holds

export async function protocol({ mina, run }) {
  await mina.make(`빠짐없이 ${run}`, "open");
  const seen = await mina.page.evaluate(missAndCatchUp, MISSED);
  const numbers = Array.from({ length: seen.length }, (_, i) => seen[0].seq + i);
  assert.deepEqual(seen.map(({ seq }) => seq), numbers, "no hole, no repeat");
  const texts = seen.map(({ text }) => text).filter((text) => text?.startsWith("missed"));
  assert.deepEqual(texts, Array.from({ length: MISSED }, (_, i) => `missed ${i + 1}`));
}

/** Runs in the page: one client is cut off while another writes. */
async function missAndCatchUp(count) {
  const { MadangClient } = await import("/js/protocol.js");
  const { access_token: token } = JSON.parse(localStorage.getItem("madang.session"));
  const room = decodeURIComponent(location.hash.slice(4));
  let isDown = false;
  let live;
  class Wire extends WebSocket {
    constructor(...address) {
      if (isDown) address[0] = `ws://${location.host}/nowhere`;
      super(...address);
      live = this;
    }
  }
  const open = (WebSocket) => {
    const client = new MadangClient({ url: `ws://${location.host}/v1/ws`, token: async () => ({ token }), WebSocket });
    client.connect();
    return client;
  };
  const next = (client, type, holds = () => true) =>
    new Promise((done) => client.on(type, (detail) => holds(detail) && done(detail)));

  const reader = open(Wire);
  const seen = [];
  reader.on("event", ({ event }) => seen.push({ seq: event.seq, text: event.body?.text }));
  reader.subscribe(room);
  await next(reader, "snapshot");
  const writer = open();
  await writer.publish(room, { text: "first" });
  isDown = true;
  live.close();
  const lines = Array.from({ length: count }, (_, i) => ({ text: `missed ${i + 1}` }));
  await Promise.all(lines.map((line) => writer.publish(room, line)));
  isDown = false;
  const last = next(reader, "event", ({ event }) => event.body?.text === `missed ${count}`);
  reader.nudge();
  await last;
  reader.close();
  writer.close();
  return seen;
}
