// Light or dark, before anything is drawn. A plain script, so that it runs before the page shows.
{
  const KEY = "madang.theme";
  const root = document.documentElement;
  const apply = (theme) => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
  };
  const current = () => localStorage.getItem(KEY) ?? "auto";
  globalThis.madangTheme = {
    current,
    choose(theme) {
      localStorage.setItem(KEY, theme);
      apply(theme);
    },
  };
  apply(current());
}
