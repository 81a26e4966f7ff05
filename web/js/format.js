// How things are written: times, names, colours, links. Plain functions on plain values.

const DAY_MS = 86_400_000;
const URL_PATTERN = /https?:\/\/[^\s<>"']+/giu;
const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });
const formats = new Map();

function format(lang, options) {
  const key = lang + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(lang, options));
  return formats.get(key);
}

export const clock = (lang, at) => format(lang, { hour: "numeric", minute: "2-digit" }).format(at);

export const fullTime = (lang, at) =>
  format(lang, { dateStyle: "long", timeStyle: "short" }).format(at);

/** A number that is the same for two times of one day, and one higher on the next. */
export const dayNumber = (at) => {
  const day = new Date(at);
  return Math.round(Date.UTC(day.getFullYear(), day.getMonth(), day.getDate()) / DAY_MS);
};

/** "Today", "Yesterday", or the date in full. */
export function dayName(lang, at, now) {
  const ago = dayNumber(now) - dayNumber(at);
  if (ago === 0 || ago === 1) {
    const words = new Intl.RelativeTimeFormat(lang, { numeric: "auto" }).format(-ago, "day");
    return words[0].toUpperCase() + words.slice(1);
  }
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  const year = sameYear ? undefined : "numeric";
  return format(lang, { weekday: "long", month: "long", day: "numeric", year }).format(at);
}

/** For the room list: the time today, otherwise the day. */
export function shortTime(lang, at, now) {
  if (dayNumber(at) === dayNumber(now)) return clock(lang, at);
  return format(lang, { month: "short", day: "numeric" }).format(at);
}

const letters = (text, count) =>
  [...graphemes.segment(text)].slice(0, count).map(({ segment }) => segment).join("");

/** The words of a name without its signs, unless it has nothing else. */
function wordsOf(name) {
  const plain = name.slice(0, 100).replace(/[^\p{L}\p{M}\p{N}\p{Extended_Pictographic}\s]/gu, " ").trim();
  return (plain || name.trim()).split(/\s+/u);
}

/** Two letters for a picture: of a Korean name the given name, else the words' first letters. */
export function initials(name) {
  const words = wordsOf(name);
  if (/^[가-힣]{3,4}$/u.test(words[0]) && words.length === 1) return words[0].slice(-2);
  return roomInitials(words.length > 2 ? `${words[0]} ${words.at(-1)}` : name);
}

/** Of a room the first letters of its name, read from the front. */
export function roomInitials(name) {
  const words = wordsOf(name);
  if (words.length > 1) return (letters(words[0], 1) + letters(words[1], 1)).toUpperCase();
  return letters(words[0], /^[가-힣]/u.test(words[0]) ? 2 : 1).toUpperCase();
}

/** A hue for an id: the same on every screen. */
export function hue(id) {
  let sum = 7;
  for (const letter of id) sum = (sum * 31 + letter.codePointAt(0)) % 3600;
  return sum % 360;
}

/** Cuts a text into plain pieces and web addresses; nothing but http and https is a link. */
export function pieces(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(URL_PATTERN)) {
    const address = trimAddress(match[0]);
    if (!isWebAddress(address)) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index) });
    parts.push({ text: address, href: address });
    end = match.index + address.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}

/** The full stop after an address, or the bracket around it, is not part of it. */
function trimAddress(address) {
  let rest = address.replace(/[.,;:!?…]+$/u, "");
  while (/[)\]}]$/u.test(rest) && !/[([{]/u.test(rest)) rest = rest.slice(0, -1);
  return rest;
}

function isWebAddress(address) {
  return URL.canParse(address) && ["http:", "https:"].includes(new URL(address).protocol);
}

/** One to three emoji and nothing else: shown large. */
export const isEmojiOnly = (text) =>
  /^[\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Regional_Indicator}\u200d\ufe0f\s]+$/u.test(text) &&
  [...graphemes.segment(text.replace(/\s/gu, ""))].length <= 3;

export const utf8Length = (text) => new TextEncoder().encode(text).length;
