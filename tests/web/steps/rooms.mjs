// Making rooms, finding them, bringing people in, writing to one person, leaving.

import { assert } from "../support.mjs";

export async function rooms(world) {
  const { mina, jun, run } = world;
  world.yard = `앞마당 ${run}`;
  await mina.make(world.yard, "open");
  await mina.shoot("new");

  await jun.$('.rooms-head button:has(use[href$="#compass"])').click();
  await jun.find(run, world.yard);
  await jun.$(".empty h2").getByText(world.yard).waitFor();
  await jun.shoot("preview");
  await jun.$(".empty .button.primary").click();
  await jun.$(".composer textarea").waitFor();
  await jun.room(world.yard).waitFor();
  await mina.$(".happening").getByText("Jun Park님이 들어왔어요").waitFor();

  await group(world);
  await direct(world);
  await leaving(world);
}

/** Nobody comes into a group by themselves; who is added hears of it at once. */
async function group({ mina, jun, run }) {
  const title = `텃밭 모임 ${run}`;
  await mina.make(title, "group");
  await mina.$('.talk-head button:has(use[href$="#people"])').click();
  await mina.$(".members > .button").click();
  await mina.find(jun.username, jun.name);
  await mina.$(".members .member").filter({ hasText: jun.name }).waitFor();
  await mina.escape();
  await jun.room(title).waitFor();
  await jun.enter(title);
  await mina.say("상추 심을 사람?");
  await jun.sees("상추 심을 사람?");
}

async function direct({ mina, jun }) {
  await jun.$('.rooms-head button:has(use[href$="#person"])').click();
  await jun.find(mina.username, mina.name);
  await jun.$(".talk-head h2").getByText(mina.name).waitFor();
  await jun.say("Just between us: thank you!");
  const row = mina.room(jun.name);
  await row.waitFor();
  await row.getByText("Just between us: thank you!").waitFor();
  await row.locator(".badge").getByText("1", { exact: true }).waitFor();
}

async function leaving({ mina, jun, run }) {
  const title = `잠깐 ${run}`;
  await jun.make(title, "open");
  await jun.$('.talk-head button:has(use[href$="#leave"])').click();
  await jun.$("dialog .button.danger").click();
  await jun.room(title).waitFor({ state: "detached" });
  await jun.$(".empty").waitFor();
  assert.equal(new URL(jun.page.url()).hash, "");
  await mina.room(title).waitFor({ state: "detached" });
}
