// A phone's width, light and dark, Korean and English.

import { assert, PHONE } from "../support.mjs";

export async function looks(world) {
  await phone(world);
  await light(world);
  await language(world);
}

async function phone(world) {
  const { mina, yard, jun } = world;
  const person = await world.person({ viewport: PHONE, isMobile: true, hasTouch: true, locale: "ko-KR" });
  await fits(person);
  await person.shoot("phone-door");
  await person.signIn(mina.username);
  await person.room(yard).waitFor();
  await fits(person);
  await person.shoot("phone-rooms");
  assert.equal(await person.$(".talk").isVisible(), false);
  await person.enter(yard);
  assert.equal(await person.$(".rooms").isVisible(), false);
  await person.say("from my phone");
  await jun.sees("from my phone");
  await fits(person);
  await person.shoot("phone-talk");
  await person.$('.talk-head button:has(use[href$="#people"])').click();
  await person.$(".members").waitFor();
  await fits(person);
  await person.shoot("phone-people");
  await person.$(".members-head button").click();
  await person.$(".talk-head .back").click();
  await person.$(".rooms").waitFor();
  await person.page.goBack();
  await person.$(".talk-head h2").getByText(yard).waitFor(); // the phone's own button too
  await person.close();
}

async function fits({ page }) {
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= PHONE.width, `the page is ${width} pixels wide`);
}

/** Follows the system, unless the person has chosen; the choice stays. */
async function light({ mina, jun }) {
  const ground = ({ page }) =>
    page.evaluate(() => {
      const [red, green, blue] = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).map(Number);
      return red + green + blue;
    });
  assert.ok((await ground(mina)) > 600, "light by default");
  assert.ok((await ground(jun)) < 200, "dark where the system is");
  await jun.shoot("dark");
  await mina.$(".me").click();
  await mina.shoot("account");
  await mina.$('dialog [role=radio][value="dark"]').click();
  assert.ok((await ground(mina)) < 200);
  await mina.page.reload();
  await mina.$(".yard").waitFor();
  assert.ok((await ground(mina)) < 200, "dark as chosen");
  await mina.$(".me").click();
  await mina.$('dialog [role=radio][value="auto"]').click();
  assert.ok((await ground(mina)) > 600);
  await mina.escape();
}

async function language({ jun }) {
  const switchTo = async (id, words) => {
    await jun.$(".me").click();
    await jun.$(`dialog [role=radio][value="${id}"]`).click();
    await jun.$(`html[lang="${id}"]`).waitFor({ state: "attached" });
    await jun.until(words, (words) => document.querySelector("textarea")?.placeholder === words, words);
  };
  await switchTo("ko", "메시지 쓰기");
  await jun.shoot("korean");
  await jun.page.reload();
  await jun.$('html[lang="ko"] .yard').waitFor();
  await switchTo("en", "Write a message");
}
