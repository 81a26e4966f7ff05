// Names: whoever turns up somewhere is asked for, a few at a time.

const PAUSE_MS = 40; // a long list of strangers must not use up what the node allows us

/** Fills the store with the names of people who are not known yet. */
export class People {
  #store;
  #api;
  #wanted = new Set();
  #asking = false;

  constructor(store, api) {
    this.#store = store;
    this.#api = api;
  }

  meet(users) {
    for (const user of users) if (user && !this.#store.people.has(user)) this.#wanted.add(user);
    if (!this.#asking) this.#ask();
  }

  /** One after another; who cannot be had now is asked for when they turn up again. */
  async #ask() {
    this.#asking = true;
    for (const user of this.#wanted) {
      this.#wanted.delete(user);
      if (this.#store.people.has(user)) continue;
      await this.#api.user(user).then((person) => this.#store.meet(person), () => {});
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    }
    this.#asking = false;
  }
}
