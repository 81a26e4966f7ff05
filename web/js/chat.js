// What a person does, between the views and the node: opens rooms, writes, reads, invites.
// Views call these methods; what comes of it they see in the store.

import { Talk } from "./talk.js";
import { uuid7 } from "./protocol.js";
import { listen } from "./arrivals.js";
import { People } from "./people.js";

const OLDER = 50; // how much of the log is read at once when scrolling up
const MEMBER_PAGES = 5; // the panel shows up to this many pages of members
const MEMBERS_PAUSE_MS = 500;
const READ_PAUSE_MS = 300; // read marks in a burst are sent as one

/** The signed-in person's chat. One for each sign-in; `stop` ends it. */
export class Chat {
  #store;
  #api;
  #client;
  #people;
  #ready = () => {};
  #loading = null; // the rooms, while they are being read
  #readTimer = null;
  #memberTimer = null;

  constructor({ store, api, client }) {
    this.#store = store;
    this.#api = api;
    this.#client = client;
    this.#people = new People(store, api);
    listen(this, { store, client });
  }

  /** Connects; resolves once my rooms are known, however long that takes. */
  start() {
    this.#client.connect();
    return new Promise((ready) => (this.#ready = ready));
  }

  stop() {
    clearTimeout(this.#readTimer);
    clearTimeout(this.#memberTimer);
    this.#client.close();
  }

  nudge = () => this.#client.nudge();
  now = () => this.#client.now();
  meetPeople = (users) => this.#people.meet(users);

  // ---- rooms --------------------------------------------------------------------------------

  loadRooms() {
    this.#loading ??= this.#readRooms().finally(() => (this.#loading = null));
    return this.#loading;
  }

  async #readRooms() {
    const store = this.#store;
    const rooms = await this.#api.myRooms();
    const known = new Set(rooms.map(({ room }) => room));
    for (const room of store.rooms.keys()) if (!known.has(room)) store.rooms.delete(room);
    for (const room of rooms) store.rooms.set(room.room, { ...store.rooms.get(room.room), ...room });
    store.roomsReady = true;
    store.touch("rooms");
    this.#ready();
    this.meetPeople(rooms.flatMap(({ last, peer }) => [last?.from, peer]));
  }

  /** A room that has come up: its name and kind are asked for. */
  async loadRoom(room) {
    const info = await this.#api.room(room);
    this.#store.rooms.set(room, { ...this.#store.rooms.get(room), ...info });
    this.#store.touch("rooms", "talk");
    this.meetPeople([info.last?.from, info.peer]);
    return info;
  }

  /** Looks at a room; of one that I am not in, only what it is. */
  async open(room) {
    const store = this.#store;
    if (store.open === room) return;
    this.close();
    store.open = room;
    store.preview = null;
    store.touch("open", "rooms");
    if (store.rooms.has(room)) return this.#enter(room);
    const info = await this.#api.room(room);
    if (store.open !== room) return; // gone on meanwhile
    if (store.rooms.has(room) || info.role) {
      store.rooms.set(room, { ...info, ...store.rooms.get(room) });
      return this.#enter(room);
    }
    store.preview = info;
    store.touch("open");
  }

  #enter(room) {
    const store = this.#store;
    if (!store.talks.has(room)) store.talks.set(room, new Talk(room, store.me.id));
    store.talks.get(room).entered = true;
    this.#client.subscribe(room);
    this.#client.focus(!document.hidden, room);
    store.touch("open", "talk", "rooms");
  }

  close() {
    const { open } = this.#store;
    if (!open) return;
    this.#client.unsubscribe(open);
    this.#client.focus(!document.hidden);
    this.#store.open = this.#store.preview = null;
    this.#store.touch("open", "rooms");
  }

  async make(form) {
    const room = await this.#api.makeRoom(form);
    return this.#mine(room);
  }

  async direct(user) {
    const room = await this.#api.directRoom(user);
    return this.#mine(room);
  }

  async join(room) {
    await this.#client.join(room);
    const info = await this.loadRoom(room);
    if (this.#store.open === room) {
      this.#store.preview = null;
      this.#enter(room);
    }
    return info.room;
  }

  async leave(room) {
    await this.#client.leave(room);
    this.forget(room);
  }

  /** The room is not mine any more, by my own will or another's. */
  forget(room) {
    const store = this.#store;
    if (store.open === room) this.close();
    store.rooms.delete(room);
    store.talks.delete(room);
    store.touch("rooms", "open");
  }

  #mine(info) {
    const { room } = info;
    this.#store.rooms.set(room, { ...this.#store.rooms.get(room), created_at: this.now(), ...info });
    this.#store.touch("rooms");
    return room;
  }

  // ---- the conversation -----------------------------------------------------------------------

  send(text) {
    const talk = this.#store.talk;
    const clientId = uuid7(this.now());
    talk.draft(clientId, text, this.now());
    this.#client.typing(talk.room, false);
    this.#publish(talk, clientId, text);
  }

  /** Once more, under the same id: should the first have arrived after all, it stays one. */
  retry(clientId) {
    const talk = this.#store.talk;
    const draft = talk?.pending.find((each) => each.clientId === clientId);
    if (!draft) return;
    Object.assign(draft, { state: "sending", error: undefined });
    this.#publish(talk, clientId, draft.text);
  }

  discard(clientId) {
    this.#store.talk?.discard(clientId);
    this.#store.touch("talk");
  }

  async #publish(talk, clientId, text) {
    this.#store.touch("talk");
    try {
      talk.sent(clientId, await this.#client.publish(talk.room, { text }, { clientId }));
    } catch (error) {
      talk.failed(clientId, error);
    }
    this.#store.touch("talk");
  }

  typing(active) {
    if (this.#store.talk) this.#client.typing(this.#store.open, active);
  }

  /** Older events, for who scrolls up. A page without anything to show is passed over. */
  async older() {
    const talk = this.#store.talk;
    if (!talk?.ready || talk.complete || talk.loadingOlder) return;
    talk.loadingOlder = true;
    this.#store.touch("talk");
    try {
      const shown = talk.events.length;
      while (!talk.complete && talk.events.length === shown) {
        const before = { before: talk.first, limit: OLDER };
        talk.addOlder(await this.#client.history(talk.room, before));
      }
      this.meetPeople(talk.events.map(({ from }) => from));
    } finally {
      talk.loadingOlder = false;
      this.#store.touch("talk");
    }
  }

  /** The newest messages have been seen. */
  looked() {
    const talk = this.#store.talk;
    if (!talk?.ready || talk.readMark >= talk.head) return;
    talk.looked(talk.head);
    talk.shorten();
    clearTimeout(this.#readTimer);
    this.#readTimer = setTimeout(() => this.#client.read(talk.room, talk.head), READ_PAUSE_MS);
    const room = this.#store.rooms.get(talk.room);
    if (room) Object.assign(room, { unread: 0, mentions: 0 });
    this.#store.touch("rooms");
  }

  focus(active) {
    const { talk, open } = this.#store;
    this.#client.focus(active, talk ? open : undefined);
  }

  // ---- people -------------------------------------------------------------------------------

  /** When many come and go together, the list is read once. */
  loadMembersSoon(room) {
    clearTimeout(this.#memberTimer);
    this.#memberTimer = setTimeout(() => this.loadMembers(room), MEMBERS_PAUSE_MS);
  }

  async loadMembers(room) {
    const talk = this.#store.talks.get(room);
    const members = [];
    let cursor;
    try {
      for (let page = 0; page < MEMBER_PAGES; page++) {
        const frame = await this.#client.members(room, cursor);
        members.push(...frame.members);
        cursor = frame.cursor;
        if (!cursor) break;
      }
    } catch {
      return; // asked again with the next snapshot
    }
    for (const member of members) this.#store.meet(member);
    talk?.setMembers(members);
    this.#store.touch("members");
  }

  async addMember(room, user) {
    await this.#api.addMember(room, user);
    await this.loadMembers(room);
  }

  findRooms = async (q) => (await this.#api.findRooms(q)).items;

  async findPeople(q) {
    const { items } = await this.#api.findUsers(q);
    return items.filter(({ id }) => id !== this.#store.me.id);
  }
}
