// REST, for what is asked once: signing in, people, making and finding rooms.

/** A refusal as the node words it (RFC 9457): `code` and `name` as in the protocol. */
export class ApiError extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
    Object.assign(this, { status, code: problem.code, name: problem.name ?? "internal", retryAfter });
  }
}

const OFFLINE = { name: "offline" };
const id = encodeURIComponent;
const seconds = (answer) => Number(answer.headers.get("retry-after"));

/** One method for each question; each answers with the node's JSON, or throws an ApiError. */
export class Api {
  #session;
  #device;

  constructor(session, device) {
    this.#session = session;
    this.#device = device;
  }

  // people without a session
  signUp = (form) => this.#enter("auth/sign-up", form);
  signIn = (form) => this.#enter("auth/sign-in", form);
  guest = (form) => this.#enter("auth/guest", form);
  features = () => this.#send("GET", "common/features").then(({ value }) => value ?? {});

  // me
  me = () => this.#ask("GET", "me");
  changeMe = (change) => this.#ask("PATCH", "me", change);
  sessions = () => this.#ask("GET", "me/sessions");
  endSession = (session) => this.#ask("DELETE", `me/sessions/${id(session)}`);
  endAllSessions = () => this.#ask("DELETE", "me/sessions");
  signOut = () => this.#ask("POST", "auth/sign-out", {});

  // people
  user = (user) => this.#ask("GET", `users/${id(user)}`);
  findUsers = (q) => this.#ask("GET", `users?q=${id(q)}`);

  // rooms
  room = (room) => this.#ask("GET", `rooms/${id(room)}`);
  findRooms = (q) => this.#ask("GET", `rooms?scope=open&q=${id(q)}`);
  makeRoom = (room) => this.#ask("POST", "rooms", room);
  directRoom = (user) => this.#ask("POST", "rooms/dm", { user });
  addMember = (room, user) => this.#ask("PUT", `rooms/${id(room)}/members/${id(user)}`, {});

  /** All of my rooms, page after page. */
  async myRooms() {
    const rooms = [];
    let cursor;
    do {
      const more = cursor ? `&cursor=${id(cursor)}` : "";
      const page = await this.#ask("GET", `rooms?scope=mine&limit=200${more}`);
      rooms.push(...page.items);
      cursor = page.cursor;
    } while (cursor);
    return rooms;
  }

  async #enter(path, form) {
    const answer = await this.#send("POST", path, { ...form, device: this.#device });
    this.#session.keep(answer);
    return answer.user;
  }

  /** With my token; a token that has just run out is renewed once. */
  async #ask(method, path, body) {
    const pass = await this.#pass({});
    try {
      return await this.#send(method, path, body, pass.token);
    } catch (error) {
      if (error.status !== 401) throw error;
      const renewed = await this.#pass({ fresh: true, instead: pass.token });
      return this.#send(method, path, body, renewed.token);
    }
  }

  async #pass(how) {
    const pass = await this.#session.pass(how).catch(() => {
      throw new ApiError(0, OFFLINE);
    });
    if (!pass) throw new ApiError(401, { name: "token_invalid" });
    return pass;
  }

  async #send(method, path, body, token) {
    const headers = {};
    if (body) headers["content-type"] = "application/json";
    if (token) headers.authorization = `Bearer ${token}`;
    const request = { method, headers, body: body && JSON.stringify(body) };
    const answer = await fetch(`/v1/${path}`, request).catch(() => {
      throw new ApiError(0, OFFLINE);
    });
    const text = await answer.text();
    const json = /json/.test(answer.headers.get("content-type")) && text ? JSON.parse(text) : {};
    if (answer.ok) return json;
    throw new ApiError(answer.status, json, seconds(answer) * 1000 || undefined);
  }
}
