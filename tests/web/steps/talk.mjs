// A conversation: names, times, days, marks, typing, who is here, unread counts.

import { assert } from "../support.mjs";

export async function talk(world) {
  const { mina, jun, yard } = world;
  await mina.enter(yard);
  await jun.enter(yard);
  await mina.say("토요일에 마당에서 고기 구워 먹어요 🔥");
  await jun.sees("토요일에 마당에서 고기 구워 먹어요 🔥");
  await jun.say("I'm in. What shall I bring?\nDrinks?");
  await mina.sees("I'm in. What shall I bring?\nDrinks?");

  const theirs = mina.message("I'm in. What shall I bring?\nDrinks?");
  assert.equal(await theirs.locator(".who").textContent(), "Jun Park");
  assert.match(await theirs.locator("time").getAttribute("datetime"), /^\d{4}-\d\d-\d\dT/);
  assert.equal(await mina.$(".day").count(), 1, "one day so far");
  await mina.message("토요일에 마당에서 고기 구워 먹어요 🔥").and(mina.$('[data-mark="read"]')).waitFor();

  await people(world);
  await typing(world);
  await links(world);
  await unread(world);
}

async function people({ mina, jun }) {
  await mina.$('.talk-head button:has(use[href$="#people"])').click();
  const here = mina.$(".members section").first();
  await here.getByText(jun.name).waitFor();
  await here.getByText(mina.name).waitFor();
  await mina.shoot("people");
  await mina.escape();
  await mina.$(".members").waitFor({ state: "hidden" });
}

async function typing({ mina, jun }) {
  const seen = mina.$(".typing").getByText("Jun Park님이 쓰고 있어요").waitFor(); // it passes by itself
  await jun.$(".composer textarea").pressSequentially("Wait");
  await seen;
  await jun.$(".composer textarea").fill("");
  await mina.until("typing is over", () => document.querySelector(".typing").textContent === "");
}

async function links({ mina, jun }) {
  await jun.say("See https://example.org/list?a=1&b=2, and ftp://old.example is no link.");
  const link = mina.$(".bubble a").first();
  await link.waitFor();
  assert.equal(await link.getAttribute("href"), "https://example.org/list?a=1&b=2");
  assert.match(await link.getAttribute("rel"), /noopener/);
  assert.equal(await mina.$(".bubble a").count(), 1);
}

/** A room that one does not look at counts; looking at it settles that, here and elsewhere. */
async function unread({ mina, jun, yard, run }) {
  await jun.enter(`텃밭 모임 ${run}`);
  await mina.say("하나");
  await mina.say("둘");
  await mina.message("둘").and(mina.$('[data-mark="unread1"]')).waitFor();
  const row = jun.room(yard);
  await row.locator(".badge").getByText("2", { exact: true }).waitFor();
  await row.getByText("둘").waitFor();
  await jun.until("the title counts", () => /^\(\d+\)/.test(document.title));
  await jun.shoot("unread");
  await jun.enter(yard);
  await jun.$(".new-line").waitFor();
  await row.locator(".badge").waitFor({ state: "detached" });
  await mina.message("둘").and(mina.$('[data-mark="read"]')).waitFor();
}
