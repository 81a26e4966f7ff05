// Every node is stopped and started again, one after the other, while two people chat.

import { assert } from "../support.mjs";

const PAUSE_MS = 120;
// A slow machine has said fewer when the last node is back: it goes on until this many.
const AT_LEAST = 20;

export async function rolling(world) {
  const mina = await world.person();
  const jun = await world.person();
  await mina.signUp("Mina Kim", "mina");
  await jun.signUp("Jun Park", "jun");
  const title = `Yard ${world.run}`;
  await mina.make(title, "open");
  await jun.$('.rooms-head button:has(use[href$="#compass"])').click();
  await jun.find(world.run, title);
  await jun.$(".empty .button.primary").click();
  await jun.$(".composer textarea").waitFor();

  let rolls = true;
  const done = world.restart().then(() => (rolls = false));
  const said = [];
  while (rolls || said.length < AT_LEAST) {
    said.push(`message ${said.length}`);
    await mina.say(said.at(-1));
    await mina.page.waitForTimeout(PAUSE_MS);
  }
  await done;
  await mina.say("the end");
  for (const person of [jun, mina]) {
    await person.sees("the end");
    await person.online();
    await person.shoot("after");
    const shown = await person.page.locator(".message").allInnerTexts();
    const places = said.slice(-40).map((text) => shown.flatMap((words, i) => (words.split("\n").includes(text) ? [i] : [])));
    for (const [i, found] of places.entries()) {
      assert.equal(found.length, 1, `${said.slice(-40)[i]} is shown once to ${person.name}`);
    }
    const order = places.flat();
    assert.deepEqual(order, [...order].sort((a, b) => a - b), "in the order they were said");
  }
  assert.equal(await mina.$('[data-mark="failed"]').count(), 0, "nothing failed");
  await everythingIsThere(mina, title, said);
}

/** The log has each message once, in the order they were said. */
async function everythingIsThere(person, title, said) {
  const texts = await person.page.evaluate(async (title) => {
    const token = JSON.parse(Object.values(localStorage).find((text) => text.includes("access_token"))).access_token;
    const ask = async (path) => {
      const answer = await fetch(`/v1/${path}`, { headers: { authorization: `Bearer ${token}` } });
      return answer.json();
    };
    const { items } = await ask("rooms?scope=mine");
    const { room } = items.find(({ name }) => name === title);
    const texts = [];
    for (let after = 0, more = true; more; ) {
      const page = await ask(`rooms/${room}/events?after=${after}&limit=200`);
      texts.push(...page.events.filter(({ kind }) => kind === "message").map(({ body }) => body.text));
      after = page.events.at(-1).seq;
      more = page.more;
    }
    return texts;
  }, title);
  assert.deepEqual(texts, [...said, "the end"]);
}
