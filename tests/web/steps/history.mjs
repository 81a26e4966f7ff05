// A long conversation: older messages come when scrolling up, and the view keeps its place.

import { assert } from "../support.mjs";

const MANY = 130;

export async function history(world) {
  const { mina, jun, run } = world;
  const title = `긴 이야기 ${run}`;
  await mina.make(title, "open");
  await writeMany(mina, MANY);
  await mina.sees(`line ${MANY}`);

  await jun.$('.rooms-head button:has(use[href$="#compass"])').click();
  await jun.find(run, title);
  await jun.$(".empty .button.primary").click();
  await jun.sees(`line ${MANY}`);
  assert.equal(await jun.message("line 1").count(), 0, "old messages wait until they are wanted");

  await scrollUp(jun);
  await jun.sees("line 1");
  assert.equal(await jun.$(".message").count(), MANY, "every message once");
  await jun.$(".top.beginning").waitFor();
  await jun.shoot("beginning");

  const place = () => jun.$(".log").evaluate((log) => log.scrollTop);
  const before = await place();
  await mina.say("news from below");
  await jun.$(".new-pill").getByText("1 new message").waitFor();
  assert.equal(await place(), before, "the view stays");
  await jun.$(".new-pill").click();
  await jun.$(".new-pill").waitFor({ state: "hidden" });
}

/** Writes with the client's own protocol module, as a program would. */
async function writeMany({ page }, count) {
  await page.evaluate(async (count) => {
    const { MadangClient } = await import("/js/protocol.js");
    const { access_token: token } = JSON.parse(localStorage.getItem("madang.session"));
    const room = decodeURIComponent(location.hash.slice(4));
    const client = new MadangClient({ url: `ws://${location.host}/v1/ws`, token: async () => ({ token }) });
    client.connect();
    const lines = Array.from({ length: count }, (_, i) => ({ text: `line ${i + 1}` }));
    await Promise.all(lines.map((line) => client.publish(room, line)));
    client.close();
  }, count);
}

/** Scrolls to the top again and again; whatever was at the top of the view stays in sight. */
async function scrollUp({ page }) {
  await page.evaluate(async () => {
    const log = document.querySelector(".log");
    const first = () => document.querySelector(".message .bubble").textContent;
    const grown = (before) =>
      new Promise((done, fail) => {
        const late = setTimeout(() => fail(new Error("nothing older came")), 60_000);
        const seen = new MutationObserver(() => {
          if (first() === before) return;
          clearTimeout(late);
          seen.disconnect();
          done();
        });
        seen.observe(log, { childList: true, subtree: true });
      });
    while (first() !== "line 1") {
      const top = document.querySelectorAll(".message")[3]; // the first may lose its name
      const more = grown(first());
      log.scrollTop = 0;
      const before = top.getBoundingClientRect().top;
      await more;
      await new Promise(requestAnimationFrame);
      const moved = Math.abs(top.getBoundingClientRect().top - before);
      if (moved > 30) throw new Error(`the view jumped by ${moved} pixels`);
    }
  });
}
