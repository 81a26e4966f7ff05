// What the page knows. The chat writes here, the views read and are told what has changed.

const UNSEEN_MS = 250;

/** The state, and a bell for each part of it. Bells rung together ring once. */
export class Store {
  me = null; // {id, username, name, role}
  features = {}; // what the node allows
  connection = { state: "connecting" }; // as the client's `state` says
  rooms = new Map(); // room -> {room, name, kind, members, head, unread, last?, …}: mine
  roomsReady = false; // whether `rooms` has been loaded
  people = new Map(); // user -> {id, name}
  talks = new Map(); // room -> Talk, for rooms opened since the page came
  open = null; // the room that is looked at
  preview = null; // an open room that is looked at without being a member
  notes = new Map(); // room -> text in the composer that is not sent yet

  #listeners = new Map();
  #rung = new Set();
  #frame = null; // when the bells ring: with the next picture,
  #timer = null; // or soon, where nobody looks

  /** Listens; the answer is a function that stops it. */
  on(topic, listener) {
    const group = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, group.add(listener));
    return () => group.delete(listener);
  }

  /** Forgets all listeners: the views are built anew, in another language or for somebody else. */
  silence() {
    this.#listeners.clear();
  }

  /** Says that a part has changed: `rooms open talk members typing people connection me look`. */
  touch(...topics) {
    for (const topic of topics) this.#rung.add(topic);
    if (document.hidden) this.#timer ??= setTimeout(() => this.#ring(), UNSEEN_MS);
    else this.#frame ??= requestAnimationFrame(() => this.#ring());
  }

  #ring() {
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#timer = this.#frame = null;
    const topics = [...this.#rung];
    this.#rung.clear();
    const listeners = new Set(topics.flatMap((topic) => [...(this.#listeners.get(topic) ?? [])]));
    for (const listener of listeners) listener();
  }

  get talk() {
    return this.talks.get(this.open) ?? null;
  }

  /** My rooms, the one where something happened last first. */
  roomsInOrder() {
    const when = (room) => room.last?.at ?? room.created_at ?? 0;
    return [...this.rooms.values()].sort((a, b) => when(b) - when(a));
  }

  unreadTotal() {
    return [...this.rooms.values()].reduce((sum, room) => sum + (room.unread ?? 0), 0);
  }

  nameOf(user) {
    return this.people.get(user)?.name;
  }

  meet(person) {
    const id = person.id ?? person.user;
    if (id && person.name && this.nameOf(id) !== person.name) {
      this.people.set(id, { id, name: person.name });
      this.touch("people");
    }
  }

  /** Somebody else will use this page. */
  clear() {
    Object.assign(this, { me: null, open: null, preview: null, roomsReady: false });
    this.connection = { state: "connecting" };
    for (const map of [this.rooms, this.people, this.talks, this.notes]) map.clear();
  }
}
