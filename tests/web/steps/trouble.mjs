// When things go wrong: refused messages, a lost connection, a node that is killed.

import { assert } from "../support.mjs";

export async function trouble(world) {
  await refused(world);
  await cutOff(world);
  if (world.restart) await killed(world);
}

/** Somebody whose connection runs through our hands: `wire.refuse`, `wire.cut()`. */
async function wired(world, username) {
  const person = await world.person();
  const wire = { refuse: false, down: false, cut: () => {} };
  await person.context.routeWebSocket(/\/v1\/ws$/, (socket) => {
    if (wire.down) return void socket.close({ code: 4000 });
    const node = socket.connectToServer();
    wire.cut = () => {
      wire.down = true;
      node.close();
      socket.close({ code: 4000 });
    };
    socket.onMessage((text) => {
      const frame = JSON.parse(text);
      if (!wire.refuse || frame.type !== "publish") return node.send(text);
      const { ref, room, client_id } = frame;
      const error = { type: "error", ref, room, client_id, code: 3007, name: "muted", message: "muted", retry: false };
      socket.send(JSON.stringify(error));
    });
  });
  await person.page.reload();
  await person.signIn(username);
  await person.online();
  return { person, wire };
}

/** A message that is refused says so, and goes out once when it is tried again. */
async function refused(world) {
  const { mina, jun, yard } = world;
  await jun.enter(yard);
  const { person, wire } = await wired(world, mina.username);
  await person.enter(yard);
  wire.refuse = true;
  await person.say("this one is refused");
  const failed = person.message("this one is refused");
  await failed.and(person.$('[data-mark="failed"]')).waitFor();
  await failed.getByText("You are muted here for now.").waitFor();
  await person.shoot("refused");
  wire.refuse = false;
  await failed.locator("button").first().click();
  await failed.and(person.$('[data-mark="read"], [data-mark="sent"], [data-mark^="unread"]')).waitFor();
  await jun.sees("this one is refused");
  assert.equal(await person.message("this one is refused").count(), 1);
  wire.refuse = true;
  await person.say("thrown away");
  await person.message("thrown away").locator("button").last().click();
  await person.message("thrown away").waitFor({ state: "detached" });
  await person.close();
}

/** Without a connection the page says so, keeps what is written, and catches up afterwards. */
async function cutOff(world) {
  const { mina, jun, yard } = world;
  const { person, wire } = await wired(world, mina.username);
  await person.enter(yard);
  await person.sees("this one is refused");
  wire.cut();
  await person.$('.connection[data-state="waiting"]').waitFor();
  await person.say("written in the dark");
  await person.message("written in the dark").and(person.$('[data-mark="sending"]')).waitFor();
  await jun.say("said meanwhile");
  await person.shoot("offline");
  assert.equal(await person.message("said meanwhile").count(), 0);
  wire.down = false;
  await person.$(".connection .link").click({ timeout: 2000 }).catch(() => {}); // or it was faster
  await person.online();
  await person.sees("said meanwhile");
  await jun.sees("written in the dark");
  for (const text of ["said meanwhile", "written in the dark"]) {
    assert.equal(await person.message(text).count(), 1, `${text}: once`);
  }
  await person.close();
}

/** The node is killed in the middle of it; what was delivered is there, what was not is sent. */
async function killed({ mina, jun, yard, restart }) {
  await mina.enter(yard);
  await mina.say("before the kill");
  await jun.sees("before the kill");
  const back = restart();
  await mina.$('.connection:not([data-state="online"])').waitFor({ state: "attached" });
  await mina.say("while it was away");
  await mina.shoot("killed");
  await back;
  await mina.online();
  await jun.online();
  await jun.sees("while it was away");
  await mina.page.reload();
  await mina.sees("while it was away");
  for (const text of ["before the kill", "while it was away"]) {
    assert.equal(await mina.message(text).count(), 1, `${text}: once`);
  }
}
