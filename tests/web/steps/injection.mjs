// Script in names, messages, room titles and links is shown as text, and the page's policy
// would not run it anyway.

import { assert } from "../support.mjs";

const EVIL = `<img src=x onerror="window.pwned=1"><script>window.pwned=2</script>`;
const TEXTS = [
  EVIL,
  `<a href="javascript:window.pwned=3">x</a> javascript:window.pwned=4`,
  `https://example.org/"onmouseover="window.pwned=5"x='`,
  `{{constructor.constructor('window.pwned=6')()}} \${window.pwned=7}`,
  `\u202Egnp.exe \u0007 &lt;b&gt;bold&lt;/b&gt; <svg/onload=window.pwned=8>`,
];

export async function injection(world) {
  const { jun, run } = world;
  const mallory = await world.person();
  await mallory.signUp(`<b onclick=window.pwned=9>Mallory</b>`, "mallory");
  const title = `<i>${run}</i><script>window.pwned=10</script>`;
  await mallory.make(title, "open");
  for (const text of TEXTS) {
    await mallory.say(text);
    await mallory.sees(text.replace("\u0007", "\u0007"));
  }

  await jun.$('.rooms-head button:has(use[href$="#compass"])').click();
  await jun.find(`<i>${run}`, title);
  await jun.$(".empty .button.primary").click();
  await jun.enter(title);
  for (const text of TEXTS) await jun.sees(text);
  await jun.$(".who").getByText(mallory.name, { exact: true }).first().waitFor();
  await jun.$('.talk-head button:has(use[href$="#people"])').click();
  await jun.$(".member-name").getByText(mallory.name, { exact: true }).waitFor();
  const seen = jun.$(".typing").getByText(mallory.name).waitFor(); // it passes by itself
  await mallory.$(".composer textarea").pressSequentially("x");
  await seen;
  await jun.shoot("shown-as-text");
  await jun.escape();

  for (const person of [jun, mallory]) await unharmed(person);
  await policy(jun);
  await mallory.close();
}

async function unharmed({ page }) {
  const found = await page.evaluate(() => ({
    pwned: window.pwned,
    images: [...document.images].map((image) => image.getAttribute("src")),
    inside: document.querySelectorAll(":is(.bubble, .who, .room-name, h2, .room-last) :is(img, script, svg, b, i)").length,
    links: [...document.querySelectorAll(".bubble a")].map((link) => link.protocol),
    handlers: [...document.querySelectorAll("*")].filter((node) =>
      [...node.attributes].some(({ name }) => name.startsWith("on")),
    ).map((node) => node.outerHTML.slice(0, 200)),
  }));
  assert.equal(found.pwned, undefined, "nothing of it ran");
  assert.ok(found.images.every((src) => ["/logo.svg", "/yard.svg"].includes(src)), `images: ${found.images}`);
  assert.equal(found.inside, 0, "no element came out of a text");
  assert.ok(found.links.every((protocol) => /^https?:$/.test(protocol)));
  assert.deepEqual(found.handlers, [], "no handler came out of a text");
}

/** Even a script that got into the page would not run. */
async function policy(person) {
  const answer = await person.page.request.get(person.world.base);
  const header = answer.headers()["content-security-policy"] ?? "";
  assert.match(header, /(default|script)-src 'self'/);
  assert.doesNotMatch(header, /unsafe-inline|unsafe-eval/);
  const before = person.problems.length;
  await person.page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.pwned = 11";
    document.body.append(script);
    script.remove();
  });
  assert.equal(await person.page.evaluate(() => window.pwned), undefined);
  person.problems.length = before; // the browser's own note that it has refused
}
