// The page's languages: what the browser prefers, unless the person has chosen.

import { en } from "./words/en.js";
import { ko } from "./words/ko.js";

const LANGUAGES = { en, ko };
const KEY = "madang.lang";

let lang = localStorage.getItem(KEY) ?? preferred();

function preferred() {
  const known = navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in LANGUAGES);
  return known ?? "en";
}

export const languages = () => Object.entries(LANGUAGES).map(([id, { language }]) => ({ id, language }));
export const currentLanguage = () => lang;

export function setLanguage(next) {
  lang = next;
  localStorage.setItem(KEY, next);
  document.documentElement.lang = next;
}

document.documentElement.lang = lang;

/** The words for `key`; what stands in braces is filled in from `values`. */
export function t(key, values = {}) {
  const words = LANGUAGES[lang][key];
  if (typeof words === "function") return words(values);
  return words.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** A refusal in the person's words: what happened and what to do about it. */
export function explain(error) {
  const known = `error.${error.name}`;
  const seconds = Math.ceil((error.retryAfter ?? 1000) / 1000);
  return t(known in LANGUAGES[lang] ? known : "error.other", { seconds, message: error.message });
}
