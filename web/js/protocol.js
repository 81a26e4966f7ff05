// The native protocol, version 1, from the client's side. Everything that a chat client has to
// know stands in this file and codes.js, and nothing about pages: copy them, or read them and
// write your own.
//
//   const token = async () => ({ token: "eyJ…" });
//   const client = new MadangClient({ url: "wss://chat.example/v1/ws", token });
//   client.on("event", ({ room, event }) => console.log(room, event.seq, event.body));
//   client.connect();
//   client.subscribe("r42");
//   await client.publish("r42", { text: "hello" });
//
// What `on` tells: `state`, `welcome`, `snapshot`, `resumed`, `event`, `gap`, `lost`, and the
// frames `receipt typing presence inbox account` as they came.

import { ProtocolError, afterClose, disconnected, unanswered, uuid7 } from "./codes.js";

export { ProtocolError, uuid7 };

const ANSWER_MS = 10_000; // how long an answer may take before the outcome counts as unknown
const WELCOME_MS = 15_000; // how long a new connection may take to greet us
const LEAVE_MS = 5000; // how long one that we have moved away from may still answer
const TRIES = 6; // refusals that a message may meet before its sender is told
const LONGEST_WAIT_MS = 30_000; // the longest pause between two attempts to connect
const RENEW_AHEAD_MS = 60_000; // a token is renewed this long before it runs out
const FILL_LIMIT = 1000; // a larger hole is not filled: the room starts afresh
const PAGE = 200; // the most events that the node puts in one frame

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const backoff = (attempt, longest) => Math.random() * Math.min(1000 * 2 ** attempt, longest);

/** One room's stream. Its position is all that is needed to go on, on any node. */
class Feed {
  epoch = null; // the life of the room's log that `seq` counts in
  seq = null; // the last event handed on; nothing yet when null
  wanted = true; // whether the app asked for this room
  phase = "idle"; // idle | resuming | subscribing | live
  asked = false; // whether the last hello asked to go on from our position
  work = Promise.resolve(); // what arrives is worked through in order, one after another

  constructor(room) {
    this.room = room;
  }

  forget = () => void (this.epoch = this.seq = null);
}

/** A connection that heals itself, and the rooms, requests and messages that outlive it. */
export class MadangClient {
  user = null; // who we are, once welcomed
  #listeners = new Map();
  #options; // {url, token, device, WebSocket}
  #socket = null; // the connection that has welcomed us
  #dialing = null; // the one that has not yet
  #attempt = 0; // failed attempts since the last welcome
  #life = 0; // counts connections, so that what belongs to an old one is known
  #timers = {};
  #freshToken = false;
  #offset = 0; // the node's clock minus ours
  #heartbeat = 25_000;
  #heardAt = 0;
  #roomsCursor;
  #ref = 0;
  #requests = new Map(); // ref -> {resolve, reject}
  #feeds = new Map(); // room -> Feed
  #outbox = new Map(); // room -> messages without an ack, the first one under way
  #marks = new Map(); // room -> read mark that could not be sent yet
  #focus = null;
  #online; // a promise that waits for the next welcome
  #setOnline;

  /** `token({fresh})` gives `{token, expiresAt?}`, or null when there is none to be had. */
  constructor({ url, token, device, WebSocket = globalThis.WebSocket }) {
    this.#options = { url, token, device, WebSocket };
    this.#dropped(); // that is: not connected yet
  }

  /** Listens; the answer is a function that stops it. */
  on(type, listener) {
    const group = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, group.add(listener));
    return () => group.delete(listener);
  }

  /** The node's time, as well as we know it. */
  now = () => Date.now() + this.#offset;

  // ---- what an app does -------------------------------------------------------------------

  connect = () => this.#dial();

  /** Ends it; a message still under way is given back to its sender as failed. */
  close() {
    this.#life++;
    clearTimeout(this.#timers.redial);
    this.#hangUp(this.#dialing);
    this.#hangUp(this.#socket);
    this.#dialing = null;
    this.#dropped();
    const drafts = [...this.#outbox.values()].flatMap((queue) => queue.splice(0));
    for (const draft of drafts) draft.reject(disconnected());
  }

  /** The network is back, or somebody looks again: find out now instead of later. */
  nudge() {
    if (this.#socket) this.#probe();
    else if (this.#timers.redial && !this.#dialing) this.#dial();
  }

  /** From here on every event of the room comes, in order: first `snapshot`, then `event`.
   *  Once more, and a fresh snapshot comes: after a resume, for what has no place in the log. */
  subscribe(room) {
    const feed = this.#feeds.get(room) ?? new Feed(room);
    this.#feeds.set(room, feed);
    feed.wanted = true;
    if (this.#socket && ["idle", "live"].includes(feed.phase)) this.#subscribe(feed);
  }

  /** No more events; the position stays, so that subscribing again brings only what is missing. */
  unsubscribe(room) {
    const feed = this.#feeds.get(room);
    if (!feed?.wanted) return;
    feed.wanted = false;
    feed.phase = "idle";
    if (this.#socket) this.#request({ type: "unsubscribe", room }).catch(() => {});
  }

  /** Sends a message and repeats it, under one id, until the node says what became of it. */
  publish(room, body, { clientId = uuid7(this.now()), ...extra } = {}) {
    const frame = { type: "publish", room, client_id: clientId, body, ...extra };
    return new Promise((resolve, reject) => {
      const queue = this.#outbox.get(room) ?? [];
      this.#outbox.set(room, queue);
      if (queue.push({ frame, tries: 0, resolve, reject }) === 1) this.#drain(queue);
    });
  }

  // Each answers with the node's frame, or throws a ProtocolError.
  history = (room, where) => this.#request({ type: "history", room, ...where });
  members = (room, cursor) => this.#request({ type: "members", room, limit: PAGE, cursor });
  join = (room, invite) => this.#request({ type: "join", room, invite });
  leave = (room) => this.#request({ type: "leave", room });

  /** A hint that we write, worth nothing a moment later: lost when it cannot be sent now. */
  typing = (room, active) => void this.#send({ type: "typing", room, active });

  /** Moves our read mark; what cannot be sent now is sent after the next welcome. */
  read(room, seq) {
    if (seq > (this.#marks.get(room) ?? 0)) this.#marks.set(room, seq);
    this.#sendMarks();
  }

  /** Whether the person looks, and at which room. */
  focus(active, room) {
    this.#focus = { type: "focus", active, room };
    this.#send(this.#focus);
  }

  // ---- the connection -----------------------------------------------------------------------

  async #dial(url = this.#options.url) {
    clearTimeout(this.#timers.redial);
    this.#timers.redial = null;
    const life = ++this.#life;
    if (!this.#socket) this.#emit("state", { state: "connecting" });
    const pass = await this.#options.token({ fresh: this.#freshToken }).catch(() => undefined);
    if (life !== this.#life) return; // closed, or overtaken
    if (pass === undefined) return this.#retry(1006); // not to be had now
    if (pass === null) return this.#stop(4401); // nor later
    this.#freshToken = false;
    this.#open(url, pass);
  }

  #open(url, pass) {
    clearTimeout(this.#timers.redial);
    this.#hangUp(this.#dialing);
    const socket = (this.#dialing = new this.#options.WebSocket(url, "madang.v1"));
    setTimeout(() => socket === this.#dialing && this.#cut(socket), WELCOME_MS);
    socket.onopen = () => socket.send(JSON.stringify(this.#hello(pass.token)));
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      this.#heardAt = Date.now();
      if (frame.type === "welcome") this.#welcomed(socket, frame, pass);
      else if (socket === this.#socket) this.#take(frame);
      else if (frame.code >= 5000) this.#cut(socket); // cannot welcome us now
    };
    socket.onclose = ({ code }) => this.#closed(socket, code);
  }

  #hello(token) {
    const resume = {};
    for (const feed of this.#feeds.values()) {
      feed.asked = feed.wanted && feed.seq !== null;
      if (feed.asked) resume[feed.room] = { epoch: feed.epoch, seq: feed.seq };
    }
    const { device } = this.#options;
    return { type: "hello", version: 1, token, device, resume, rooms_since: this.#roomsCursor };
  }

  #welcomed(socket, frame, pass) {
    const before = this.#socket;
    this.#socket = socket;
    this.#dialing = null;
    this.#life++;
    if (before) this.#leave(before); // we have moved
    this.#attempt = 0;
    this.user = frame.user;
    this.#offset = frame.at - Date.now();
    this.#heartbeat = frame.heartbeat_ms ?? this.#heartbeat;
    this.#roomsCursor = frame.rooms_cursor;
    for (const feed of this.#feeds.values()) {
      if (feed.wanted && feed.asked) feed.phase = "resuming";
      else if (feed.wanted) this.#subscribe(feed);
    }
    if (this.#focus) this.#send(this.#focus);
    this.#sendMarks();
    const look = () => Date.now() - this.#heardAt >= this.#heartbeat && this.#probe();
    clearInterval(this.#timers.silence);
    this.#timers.silence = setInterval(look, this.#heartbeat); // pages do not see WebSocket pings
    this.#renewBefore(pass.expiresAt ?? frame.token_expires_at - this.#offset);
    this.#setOnline();
    this.#emit("state", { state: "online" });
    this.#emit("welcome", frame);
  }

  #closed(socket, code) {
    if (socket === this.#dialing) this.#dialing = null;
    else if (socket === this.#socket) this.#dropped();
    else return;
    if (!this.#dialing) this.#retry(code);
    else if (!this.#socket) this.#emit("state", { state: "connecting" });
  }

  /** The connection that we have moved away from answers what it was asked, then it goes. */
  #leave(socket) {
    const open = () => [...this.#requests.values()].some((request) => request.socket === socket);
    const end = () => {
      this.#hangUp(socket);
      this.#rejectRequests(socket);
    };
    socket.onmessage = ({ data }) => void (this.#answer(JSON.parse(data)), open() || end());
    socket.onclose = end;
    if (open()) setTimeout(end, LEAVE_MS);
    else end();
  }

  #dropped() {
    this.#rejectRequests(this.#socket);
    this.#socket = null;
    this.#online = new Promise((done) => (this.#setOnline = done));
    clearInterval(this.#timers.silence);
    clearTimeout(this.#timers.renew);
  }

  #retry(code) {
    const { stop, forget, freshToken, atLeast = 0 } = afterClose(code);
    if (stop) return this.#stop(code);
    for (const feed of this.#feeds.values()) {
      if (!this.#socket) feed.phase = "idle";
      if (forget) feed.forget();
    }
    if (freshToken) this.#freshToken = true;
    const wait = atLeast + backoff(1 + this.#attempt++, LONGEST_WAIT_MS);
    clearTimeout(this.#timers.redial);
    this.#timers.redial = setTimeout(() => this.#dial(), wait);
    if (this.#socket) return; // a move that failed; until the next try we stay where we are
    this.#emit("state", { state: "waiting", code, until: Date.now() + wait });
  }

  #stop(code) {
    this.close();
    this.#emit("state", { state: "stopped", code });
  }

  #hangUp(socket) {
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** A connection that is dead without saying so: there is no waiting for its farewell. */
  #cut(socket) {
    this.#hangUp(socket);
    this.#closed(socket, 1006);
  }

  async #probe() {
    const socket = this.#socket;
    await this.#request({ type: "ping" }).catch((error) => {
      if (error.name === "unanswered" && socket === this.#socket) this.#cut(socket);
    });
  }

  #renewBefore(expiresAt) {
    clearTimeout(this.#timers.renew);
    if (!expiresAt) return;
    const rest = Math.max(expiresAt - Date.now() - RENEW_AHEAD_MS, 5000);
    this.#timers.renew = setTimeout(() => this.#renew(), Math.min(rest, 2 ** 31 - 1));
  }

  async #renew() {
    try {
      const pass = await this.#options.token({ fresh: true });
      if (pass === null) return this.#stop(4401);
      await this.#request({ type: "auth", token: pass.token });
      this.#renewBefore(pass.expiresAt);
    } catch {
      this.#renewBefore(Date.now() + RENEW_AHEAD_MS); // once more, soon
    }
  }

  // ---- frames -------------------------------------------------------------------------------

  /** Hands each frame to its place; a kind that we do not know is left alone. */
  #take(frame) {
    if (this.#answer(frame)) return;
    const feed = this.#feeds.get(frame.room);
    switch (frame.type) {
      case "snapshot": return this.#inOrder(feed, () => this.#begin(feed, frame));
      case "event":
      case "batch": return this.#inOrder(feed, () => this.#deliver(feed, frame));
      case "live": return this.#inOrder(feed, () => this.#resumed(feed));
      case "gap": return this.#inOrder(feed, () => this.#missed(feed, frame));
      case "error":
        if (frame.ref === undefined && feed?.phase === "resuming") this.#refused(feed, frame);
        return;
      case "move": // the new connection first, then the old one goes
        clearTimeout(this.#timers.redial);
        this.#timers.redial = setTimeout(() => this.#dial(frame.url), frame.after_ms);
        return;
      case "account":
        if (frame.kind === "token_expiring") this.#renew();
    }
    this.#emit(frame.type, frame);
  }

  #answer(frame) {
    const request = this.#requests.get(frame.ref);
    if (!request || frame.type === "gap") return false; // a gap may go before its snapshot
    this.#requests.delete(frame.ref);
    if (frame.type === "error") request.reject(new ProtocolError(frame));
    else request.resolve(frame);
    return frame.type !== "snapshot"; // which is news as well
  }

  #request(frame) {
    return new Promise((resolve, reject) => {
      if (!this.#socket) return reject(disconnected());
      const ref = ++this.#ref;
      this.#requests.set(ref, { resolve, reject, socket: this.#socket });
      setTimeout(() => this.#requests.delete(ref) && reject(unanswered()), ANSWER_MS);
      this.#send({ ...frame, ref });
    });
  }

  /** Nobody will answer what was asked over this connection. */
  #rejectRequests(socket) {
    for (const [ref, request] of this.#requests) {
      if (request.socket !== socket) continue;
      this.#requests.delete(ref);
      request.reject(disconnected());
    }
  }

  #send(frame) {
    const open = this.#socket?.readyState === 1;
    if (open) this.#socket.send(JSON.stringify(frame));
    return open;
  }

  #sendMarks() {
    for (const [room, seq] of this.#marks) {
      if (this.#send({ type: "read", room, seq })) this.#marks.delete(room);
    }
  }

  #emit(type, detail) {
    for (const listener of this.#listeners.get(type) ?? []) {
      try {
        listener(detail);
      } catch (error) {
        queueMicrotask(() => { throw error; }); // an app's mistake is not the connection's
      }
    }
  }

  // ---- rooms: no hole, no repeat, or word of it ------------------------------------------------

  #subscribe(feed) {
    feed.phase = "subscribing";
    const after = feed.seq === null ? undefined : { epoch: feed.epoch, seq: feed.seq };
    const answer = this.#request({ type: "subscribe", room: feed.room, after });
    answer.catch((error) => this.#refused(feed, error));
  }

  async #refused(feed, { name, retry }) {
    const life = this.#life;
    if (name === "disconnected") return; // the next welcome subscribes
    if (name === "bad_field" && feed.seq !== null) feed.forget(); // beyond the head: another log
    else if (!retry) return this.#lose(feed, name);
    else await sleep(2000);
    if (feed.wanted && life === this.#life) this.#subscribe(feed);
  }

  /** Runs a step of a room's stream after the steps before it, unless the connection is gone. */
  #inOrder(feed, step) {
    if (!feed) return;
    const life = this.#life;
    feed.work = feed.work
      .then(() => life === this.#life && feed.wanted && step())
      .catch(async () => {
        await sleep(1000);
        if (life === this.#life && feed.wanted) this.#subscribe(feed); // from our position
      });
  }

  #resumed(feed) {
    feed.phase = "live";
    this.#emit("resumed", { room: feed.room });
  }

  /** A snapshot goes on from our position where it can; otherwise the room starts afresh. */
  #begin(feed, frame) {
    feed.phase = "live";
    const first = frame.events[0]?.seq ?? frame.head + 1;
    const continued = feed.epoch === frame.epoch && first - feed.seq <= FILL_LIMIT;
    if (continued) {
      this.#emit("snapshot", { ...frame, events: [], continued });
      return this.#deliver(feed, frame);
    }
    feed.epoch = frame.epoch;
    feed.seq = frame.head;
    this.#emit("snapshot", { ...frame, continued });
  }

  async #deliver(feed, frame) {
    if (frame.epoch !== feed.epoch) {
      feed.forget(); // another life of the log: what we have counts no more
      return feed.phase === "subscribing" || this.#subscribe(feed);
    }
    for (const event of frame.events ?? [frame]) {
      if (event.seq > feed.seq + 1) await this.#fill(feed, event.seq - 1);
      this.#hand(feed, event);
    }
  }

  #hand(feed, event) {
    if (event.seq !== feed.seq + 1) return; // a repeat
    feed.seq = event.seq;
    this.#emit("event", { room: feed.room, event });
    const ends = ["leave", "kick", "ban"].includes(event.kind);
    if (ends && event.body?.user === this.user) this.#lose(feed, event.kind);
  }

  /** Reads what is missing from history; what is not to be had there is told as a gap. */
  async #fill(feed, to) {
    for (let more = true; more && feed.seq < to; ) {
      const page = await this.history(feed.room, { after: feed.seq, limit: PAGE });
      if (page.epoch !== feed.epoch || !page.events.length) break;
      for (const event of page.events) if (event.seq <= to) this.#hand(feed, event);
      more = page.more;
    }
    if (feed.seq >= to) return;
    this.#emit("gap", { room: feed.room, from: feed.seq + 1, to });
    feed.seq = to;
  }

  /** A gap that ends a subscription is answered with a new one; others come with a snapshot. */
  #missed(feed, { reason }) {
    if (reason === "epoch") feed.forget();
    if (reason === "lag" || feed.phase === "resuming") this.#subscribe(feed);
  }

  #lose(feed, reason) {
    this.#feeds.delete(feed.room);
    feed.wanted = false;
    this.#emit("lost", { room: feed.room, reason });
  }

  // ---- messages on their way -------------------------------------------------------------------

  /** One message of a room at a time, so that they arrive in the order they were written in. */
  async #drain(queue) {
    while (queue.length) {
      const draft = queue[0];
      await this.#online;
      const outcome = await this.#request(draft.frame).catch((error) => error);
      const failed = outcome instanceof ProtocolError;
      if (outcome.name === "disconnected") continue; // it may have arrived, or not: once more
      if (failed && outcome.retry && ++draft.tries < TRIES) {
        await sleep(outcome.retryAfter ?? 500 + backoff(draft.tries, 8000));
        continue;
      }
      queue.shift();
      (failed ? draft.reject : draft.resolve)(outcome);
    }
  }
}
