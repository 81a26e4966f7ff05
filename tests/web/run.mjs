// Two people use the web client in a real browser, through everything that it can do.
//
//   node tests/web/run.mjs http://127.0.0.1:8080 [--restart-hook] [--steps=rolling]
//
// CHROMIUM names the browser (default /usr/bin/chromium), SHOTS a folder for screenshots.
// With --restart-hook, `RESTART` on a line of stdout asks whoever started this to kill and
// restart the node on its port and database, and to answer with a line on stdin.

import { mkdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import { World } from "./support.mjs";
import { door } from "./steps/door.mjs";
import { rooms } from "./steps/rooms.mjs";
import { talk } from "./steps/talk.mjs";
import { history } from "./steps/history.mjs";
import { protocol } from "./steps/protocol.mjs";
import { lost } from "./steps/lost.mjs";
import { trouble } from "./steps/trouble.mjs";
import { keyboard } from "./steps/keyboard.mjs";
import { looks } from "./steps/looks.mjs";
import { injection } from "./steps/injection.mjs";
import { account } from "./steps/account.mjs";
import { rolling } from "./steps/rolling.mjs";

const STEPS = { door, rooms, talk, history, protocol, lost, trouble, keyboard, looks, injection, account };
// For clusters only, and by name.
const NAMED = { rolling };
const STEP_MS = 420_000;
const LAUNCH_MS = 180_000;
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

/** Asks whoever started us to restart the node, and waits until that is done. */
async function askForRestart() {
  const lines = createInterface({ input: process.stdin });
  console.log("RESTART");
  for await (const _ of lines) break;
  lines.close();
}

/** A step that hangs has failed. */
function within(ms, work) {
  const late = new Promise((_, fail) => {
    setTimeout(() => fail(new Error(`not done after ${ms / 1000} s`)), ms).unref();
  });
  return Promise.race([work, late]);
}

async function main([base, ...options]) {
  if (!base) throw new Error("usage: node run.mjs http://127.0.0.1:PORT [--restart-hook]");
  if (process.env.SHOTS) mkdirSync(process.env.SHOTS, { recursive: true });
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: FLAGS, timeout: LAUNCH_MS });
  const restart = options.includes("--restart-hook") ? askForRestart : null;
  const world = new World({ browser, base, restart, shots: process.env.SHOTS });
  try {
    const named = options.find((option) => option.startsWith("--steps="));
    const steps = named ? { [named.slice(8)]: NAMED[named.slice(8)] } : STEPS;
    for (const [name, step] of Object.entries(steps)) {
      world.step = name;
      await within(STEP_MS, step(world));
      await world.checkPages();
      console.log(`ok ${name}`);
    }
  } catch (error) {
    console.error(`FAILED ${world.step}: ${error.stack}`);
    await world.shootAll("failed");
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

await main(process.argv.slice(2));
