// Who is signed in on this browser: the two tokens, kept for the next visit and shared by tabs.

const KEY = "madang.session";
const MARGIN_MS = 30_000; // a token about to run out is not used any more

const kept = () => JSON.parse(localStorage.getItem(KEY) ?? "null");

/** This browser's own id, so that a person can tell their devices apart. */
export function thisDevice() {
  let id = localStorage.getItem("madang.device");
  if (!id) {
    id = [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16)).join("");
    localStorage.setItem("madang.device", id);
  }
  return { id, name: browserName(), platform: "web" };
}

// The first name that stands in the browser's own description counts: Edge also says Chrome.
const BROWSERS = { "Edg/": "Edge", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari" };
const SYSTEMS = {
  Android: "Android",
  iPhone: "iPhone",
  iPad: "iPad",
  "Mac OS": "macOS",
  Windows: "Windows",
  Linux: "Linux",
};

function browserName() {
  const named = (table) => table[Object.keys(table).find((mark) => navigator.userAgent.includes(mark))];
  return [named(BROWSERS), named(SYSTEMS)].filter(Boolean).join(" · ") || "Web";
}

/** The signed-in person's tokens. A refresh token is good for one use, so tabs take turns. */
export class Session {
  get user() {
    return kept()?.user ?? null;
  }

  get signedIn() {
    return kept() !== null;
  }

  /** Keeps what sign-up, sign-in, guest and refresh answer. */
  keep({ access_token, refresh_token, expires_in, user }) {
    const expiresAt = Date.now() + expires_in * 1000;
    const before = kept();
    const now = { access_token, refresh_token, expiresAt, user: user ?? before?.user };
    localStorage.setItem(KEY, JSON.stringify(now));
  }

  rename(user) {
    const now = kept();
    if (now) localStorage.setItem(KEY, JSON.stringify({ ...now, user }));
  }

  forget() {
    localStorage.removeItem(KEY);
  }

  /** A usable access token; null when signed out; throws when the node is out of reach. */
  async pass({ fresh = false, instead } = {}) {
    const now = kept();
    if (!now) return null;
    const stale = fresh || now.expiresAt - Date.now() < MARGIN_MS;
    return stale ? this.#refresh(instead ?? now.access_token) : asPass(now);
  }

  #refresh(old) {
    const step = () => this.#refreshAlone(old);
    return navigator.locks ? navigator.locks.request(KEY, step) : step(); // plain http has no locks
  }

  async #refreshAlone(old) {
    const now = kept();
    if (!now) return null;
    if (now.access_token !== old) return asPass(now); // another tab was faster
    const answer = await fetch("/v1/auth/refresh", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ refresh_token: now.refresh_token }),
    });
    if (answer.ok) {
      this.keep(await answer.json());
      return asPass(kept());
    }
    if (answer.status !== 401 && answer.status !== 403) throw new Error(`refresh: ${answer.status}`);
    this.forget();
    return null;
  }

  /** Tells when another tab signs in, signs out, or becomes somebody else. */
  onChangeElsewhere(listener) {
    const user = (json) => JSON.parse(json ?? "null")?.user?.id;
    addEventListener("storage", ({ key, oldValue, newValue }) => {
      if (key === KEY && user(oldValue) !== user(newValue)) listener();
    });
  }
}

const asPass = ({ access_token, expiresAt }) => ({ token: access_token, expiresAt });
