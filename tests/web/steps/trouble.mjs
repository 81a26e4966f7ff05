// When things go wrong: refused messages, a lost connection, a node that stops or is killed.

import { assert, comesTrue } from "../support.mjs";

export async function trouble(world) {
  await refused(world);
  await cutOff(world);
  await moved(world);
  if (world.restart) await killed(world);
}

/** Somebody whose connections run through our hands: `wire.refuse`, `wire.cut()`, `wire.ask()`. */
async function wired(world, username) {
  const person = await world.person();
  const wire = { refuse: false, down: false, refused: 0, closed: 0, cut: () => {}, ask: () => {} };
  await person.context.routeWebSocket(/\/v1\/ws$/, (socket) => {
    if (wire.down) {
      wire.refused++;
      return void socket.close({ code: 4000 });
    }
    const node = socket.connectToServer();
    wire.ask = (frame) => socket.send(JSON.stringify(frame));
    socket.onClose(() => {
      wire.closed++;
      node.close();
    });
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

/** A node that is about to stop asks for a move. The next one is full at first; nobody notices. */
async function moved(world) {
  const { mina, jun, yard } = world;
  const { person, wire } = await wired(world, mina.username);
  await person.enter(yard);
  await person.sees("written in the dark");
  await person.page.evaluate(watchConnection);
  const texts = Array.from({ length: 12 }, (_, i) => `on the move ${i}`);
  wire.down = true;
  wire.ask({ type: "move", after_ms: 10, reason: "drain" });
  for (const text of texts.slice(0, 6)) await person.say(text);
  await comesTrue("a move is refused", () => wire.refused > 0);
  await jun.sees(texts[5]);
  wire.down = false;
  for (const text of texts.slice(6)) await person.say(text);
  await comesTrue("the old connection is closed", () => wire.closed > 0);
  await jun.say("where are you now?");
  await person.sees("where are you now?");
  await person.say("elsewhere");
  await jun.sees("elsewhere");
  for (const text of [...texts, "elsewhere"]) {
    assert.equal(await jun.message(text).count(), 1, `${text}: once`);
    assert.equal(await person.message(text).count(), 1, `${text}: once for its sender`);
  }
  const shown = await jun.page.locator(".message").allInnerTexts();
  const places = texts.map((text) => shown.findIndex((words) => words.includes(text)));
  assert.deepEqual(places, [...places].sort((a, b) => a - b), "in the order they were said");
  const states = await person.page.evaluate(() => window.connectionStates);
  assert.deepEqual(states.filter((state) => state !== "online"), [], "the page never was without one");
  await person.close();
}

/** Runs in the page: writes down what the line about the connection says from now on. */
function watchConnection() {
  window.connectionStates = [];
  const line = document.querySelector(".connection");
  const note = () => window.connectionStates.push(line.dataset.state);
  new MutationObserver(note).observe(line, { attributes: true, attributeFilter: ["data-state"] });
}

/** The node is killed in the middle of it; what was delivered is there, what was not is sent. */
async function killed({ mina, jun, yard, restart }) {
  await mina.enter(yard);
  await mina.say("before the kill");
  await jun.sees("before the kill");
  await mina.page.evaluate(watchConnection);
  const back = restart();
  await mina.until("the page notices", () => window.connectionStates.some((state) => state !== "online"));
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
