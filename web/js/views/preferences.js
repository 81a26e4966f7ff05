// Language and light: the same two choices at the door and in the account.

import { currentLanguage, languages, setLanguage, t } from "../i18n.js";
import { choice } from "./dialog.js";

const THEMES = ["auto", "light", "dark"];

export function languageChoice(changed) {
  const options = languages().map(({ id, language }) => ({ id, words: language }));
  return choice(t("language"), options, currentLanguage(), (id) => {
    setLanguage(id);
    changed();
  });
}

export function themeChoice() {
  const { current, choose } = globalThis.madangTheme;
  const options = THEMES.map((id) => ({ id, words: t(`theme.${id}`) }));
  return choice(t("theme"), options, current(), choose);
}
