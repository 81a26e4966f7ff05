// My account: another name, another password, my devices, signing out.

import { assert, PASSWORD } from "../support.mjs";

const ANOTHER = "another horse entirely";

export async function account(world) {
  const { mina, jun, yard } = world;
  await mina.enter(yard);
  await jun.enter(yard);
  await mina.$(".me").click();
  await mina.$("dialog .name-form input").fill("민아 (바쁨)");
  await mina.$("dialog .name-form .button").click();
  await mina.$(".me-name").getByText("민아 (바쁨)").waitFor();
  await mina.escape();
  await jun.page.reload();
  await jun.$(".who").getByText("민아 (바쁨)").first().waitFor();

  await devices(world);
  await password(world);
  await mina.$(".me").click();
  await mina.$("dialog > .dialog-body > .actions .button").last().click();
  await mina.$(".door-card").waitFor();
  assert.equal(await mina.page.evaluate(() => localStorage.getItem("madang.session")), null);
  await mina.shoot("signed-out");
  await mina.signIn(mina.username, ANOTHER);
  await mina.room(yard).waitFor();
}

/** Another device of mine is in the list, and can be signed out from here. */
async function devices(world) {
  const { mina } = world;
  const tablet = await world.person({ viewport: { width: 820, height: 1180 } });
  await tablet.signIn(mina.username);
  await tablet.online();
  await mina.$(".me").click();
  await mina.$(".device").nth(1).waitFor();
  await mina.shoot("devices");
  const others = mina.$(".device .link");
  while (await others.count()) {
    const left = await others.count();
    await others.first().click();
    await mina.until("the list is shorter", (left) => document.querySelectorAll(".device .link").length < left, left);
  }
  await tablet.$(".door-card").waitFor();
  await mina.escape();
  await mina.$(".yard").waitFor();
  await tablet.close();
}

async function password({ mina }) {
  await mina.$(".me").click();
  await mina.$("dialog summary").click();
  await mina.$("dialog input[name=old]").fill("wrong");
  await mina.$("dialog input[name=fresh]").fill(ANOTHER);
  await mina.$("dialog details .button").click();
  await mina.$("dialog details .problem").waitFor();
  await mina.$("dialog input[name=old]").fill(PASSWORD);
  await mina.$("dialog details .button").click();
  await mina.$(".toast").getByText("비밀번호를 바꿨어요").waitFor();
  await mina.escape();
}
