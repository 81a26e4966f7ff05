// What the steps share: the people, their pages, and waiting for things to become true.

import assert from "node:assert/strict";

// Longer than the longest pause between two attempts to connect, on the slowest machine.
export const PATIENCE_MS = 60_000;
export const PASSWORD = "correct horse battery";
export const DESK = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

/** Everything that the steps know of each other. */
export class World {
  people = [];
  step = "";

  constructor({ browser, base, restart, shots }) {
    Object.assign(this, { browser, base, restart, shots });
    this.run = Date.now().toString(36); // names of this run, so that it can run again
  }

  /** Opens the page for somebody, in a browser context of their own. */
  async person(options = {}) {
    const context = await this.browser.newContext({ viewport: DESK, locale: "en-US", ...options });
    const person = new Person(this, context, await context.newPage());
    this.people.push(person);
    await person.page.goto(this.base);
    return person;
  }

  /** No page may have stumbled, shown markup, or asked for anything outside the node. */
  async checkPages() {
    for (const { problems, outside } of this.people) {
      assert.deepEqual(problems, [], "errors in the page");
      assert.deepEqual(outside, [], "requests to somewhere else");
    }
  }

  async shootAll(name) {
    for (const [i, person] of this.people.entries()) {
      await person.shoot(`${name}-${i}`).catch(() => {}); // its page may be closed
    }
  }
}

/** Somebody in front of the page. */
export class Person {
  problems = [];
  outside = [];

  constructor(world, context, page) {
    Object.assign(this, { world, context, page });
    context.setDefaultTimeout(PATIENCE_MS);
    page.on("pageerror", (error) => this.problems.push(error.stack));
    page.on("console", (message) => {
      if (message.type() === "error" && !isExpected(message.text())) this.problems.push(message.text());
    });
    const home = new URL(world.base).host;
    page.on("request", (request) => {
      const { host, protocol } = new URL(request.url());
      if (protocol.startsWith("http") && host !== home) this.outside.push(request.url());
    });
  }

  $(selector, options) {
    return this.page.locator(selector, options);
  }

  async signUp(name, username) {
    Object.assign(this, { name, username: `${username}${this.world.run}` });
    await this.$('[role=tab][value="sign-up"]').click();
    await this.$("input[name=name]").fill(name);
    await this.$("input[name=username]").fill(this.username);
    await this.$("input[name=password]").fill(PASSWORD);
    await this.$(".door-form .button").click();
    await this.$(".yard").waitFor();
    await this.online();
  }

  async signIn(username, password = PASSWORD) {
    await this.$('[role=tab][value="sign-in"]').click();
    await this.$("input[name=username]").fill(username);
    await this.$("input[name=password]").fill(password);
    await this.$(".door-form .button").click();
  }

  async online() {
    await this.$('.connection[data-state="online"]').waitFor({ state: "attached" });
  }

  room(title) {
    return this.$(".room").filter({ has: this.page.getByText(title, { exact: true }) });
  }

  async enter(title) {
    await this.room(title).click();
    await this.$(".talk-head h2").getByText(title, { exact: true }).waitFor();
    await this.$(".composer textarea").waitFor();
  }

  async say(text) {
    await this.$(".composer textarea").fill(text);
    await this.$(".composer textarea").press("Enter");
  }

  message(text) {
    return this.$(".message").filter({ has: this.page.getByText(text, { exact: true }) });
  }

  async sees(text) {
    await this.message(text).first().waitFor();
  }

  /** Makes a room in the window for it, and stands in it. */
  async make(title, kind) {
    await this.$('.rooms-head button:has(use[href$="#plus"])').click();
    await this.$("dialog input[name=name]").fill(title);
    await this.$(`dialog [role=radio][value=${kind}]`).click();
    await this.$("dialog form .button").click();
    await this.$(".talk-head h2").getByText(title, { exact: true }).waitFor();
  }

  /** Looks for something in the window that is open, and takes it. */
  async find(words, name) {
    await this.$("dialog input[type=search]").fill(words);
    await this.$(".found-row").filter({ hasText: name }).first().click();
  }

  async escape() {
    await this.page.keyboard.press("Escape");
  }

  async shoot(name) {
    const { shots, step } = this.world;
    if (shots) await this.page.screenshot({ path: `${shots}/${step}-${name}.png`, animations: "disabled" });
  }

  /** Waits until `check`, run in the page with `value`, is true. */
  async until(what, check, value) {
    await this.page.waitForFunction(check, value).catch(() => {
      throw new Error(`never came true: ${what}`);
    });
  }

  async close() {
    await this.context.close();
    this.world.people = this.world.people.filter((person) => person !== this);
  }
}

/** Waits for something of ours, not of a page. */
export async function comesTrue(what, holds) {
  const until = Date.now() + PATIENCE_MS;
  while (!holds()) {
    assert.ok(Date.now() < until, `never came true: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** Refusals that a step provokes; the browser reports each as an error of the network. */
const isExpected = (text) =>
  /status of (400|401|403|404|409|422|429|503)|WebSocket connection to|ERR_CONNECTION|ERR_EMPTY/.test(text);

export { assert };
