// Signing up, signing in, a wrong password, and coming in as a guest.

import { assert, PASSWORD } from "../support.mjs";

export async function door(world) {
  world.mina = await world.person({ locale: "ko-KR" });
  world.jun = await world.person({ locale: "en-US", colorScheme: "dark" });
  const { mina, jun } = world;
  await mina.shoot("desk");
  await mina.signUp("김민아", "mina");
  await jun.signUp("Jun Park", "jun");
  assert.equal(await mina.page.getAttribute("html", "lang"), "ko");
  assert.equal(await jun.page.getAttribute("html", "lang"), "en");
  await jun.$(".empty h2").getByText("Hello, Jun Park").waitFor();

  await wrongPassword(world);
  await guest(world);
}

async function wrongPassword(world) {
  const visitor = await world.person();
  await visitor.signIn(world.mina.username, "not the password");
  await visitor.$(".problem").getByText("Wrong username or password").waitFor();
  await visitor.shoot("wrong");
  await visitor.signIn(world.mina.username, PASSWORD);
  await visitor.$(".yard").waitFor();
  await visitor.page.reload();
  await visitor.$(".yard").waitFor(); // the sign-in is kept
  await visitor.close();
}

async function guest(world) {
  const answer = await world.jun.page.request.get(`${world.base}/v1/common/features`);
  const { guests } = (await answer.json()).value;
  const visitor = await world.person();
  await visitor.$(".door-card").waitFor();
  const tab = visitor.$('[role=tab][value="guest"]');
  assert.equal(await tab.count(), guests ? 1 : 0, "a guest's way in, only where guests are allowed");
  if (guests) {
    await tab.click();
    await visitor.$("input[name=name]").fill("Passer-by");
    await visitor.$(".door-form .button").click();
    await visitor.$(".me-name").getByText("Passer-by").waitFor();
    assert.equal(await visitor.$('.rooms-head button:has(use[href$="#plus"])').count(), 0);
  }
  await visitor.close();
}
