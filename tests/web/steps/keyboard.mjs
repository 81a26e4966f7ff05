// Everything by keyboard: walking the list, writing, windows, and where the focus is.

import { assert } from "../support.mjs";

export async function keyboard(world) {
  const { jun, yard } = world;
  const { page } = jun;
  await jun.$(".filter input").focus();
  await page.keyboard.press("ArrowDown");
  const focused = () => page.evaluate(() => document.activeElement.dataset.room);
  const first = await focused();
  await page.keyboard.press("ArrowDown");
  assert.notEqual(await focused(), first);
  await page.keyboard.press("ArrowUp");
  assert.equal(await focused(), first);
  assert.equal(await visibleFocus(page), true, "the focus can be seen");
  await page.keyboard.press("Enter");
  await jun.$(".composer textarea").waitFor();
  await jun.until("the place to write has the focus", () => document.activeElement.matches("textarea"));

  await page.keyboard.type("first line");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("second line");
  await page.keyboard.press("Enter");
  await jun.sees("first line\nsecond line");

  await page.keyboard.press("Escape");
  await jun.until("back to the list", () => document.activeElement.matches(".room[aria-current]"));
  await windows(jun);
  await names(jun);
  await jun.enter(yard);
}

/** A window keeps the focus, closes with Escape and gives the focus back. */
async function windows(person) {
  const { page } = person;
  const opener = person.$('.rooms-head button:has(use[href$="#plus"])');
  await opener.focus();
  await page.keyboard.press("Enter");
  await person.$("dialog[open]").waitFor();
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press("Tab");
    const inside = await page.evaluate(() => !document.activeElement.closest("#app"));
    assert.equal(inside, true, "the focus stays in the window");
  }
  await page.keyboard.press("Escape");
  await person.$("dialog").waitFor({ state: "detached" });
  await person.until("the focus is back", () => document.activeElement.querySelector('use[href$="#plus"]'));
}

/** Whatever can be pressed or filled in has a name for those who do not see it. */
async function names({ page }) {
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll("button, a, input, textarea")]
      .filter((node) => node.checkVisibility())
      .filter((node) => !(node.getAttribute("aria-label") ?? node.textContent ?? "").trim() && !node.labels?.length)
      .map((node) => node.outerHTML),
  );
  assert.deepEqual(nameless, []);
  assert.equal(await page.locator('[role="log"]').count(), 1);
}

const visibleFocus = (page) =>
  page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle !== "none");
