// One room's conversation as the page holds it: a stretch of the log, what is on its way, who
// has read how far, who is here. Plain state; nothing here asks the node or touches the page.

const SHOWN = new Set(["message", "join", "leave", "kick", "ban", "mute", "role", "room", "system"]);
const isShown = ({ kind, body }) => SHOWN.has(kind) || (kind === "void" && body?.lost === true);
const TYPING_MS = 6000; // who writes says so again before this has passed
const KEEP = 400; // events kept when a long stretch is cut

/** The stretch of one room's log that is on the page. */
export class Talk {
  ready = false; // whether the first snapshot is here
  events = []; // what is shown of the log, ascending
  pending = []; // own messages that the log does not show yet
  first = 0; // the lowest seq that we have looked at
  head = 0;
  complete = false; // nothing older is to be had
  info = {};
  role = "member";
  mutedUntil = 0;
  members = new Map(); // user -> {user, name, role, online}
  membersReady = false;
  memberCount = 0;
  #online = 0; // how many are here, as the node says
  #counted = true; // whether that is all we hear: not who comes and goes, only how many are here
  divider = 0; // "new from here" stands after this seq; 0: nowhere
  entered = true; // whether somebody has just come in, and wants to see where they stopped
  readMark = 0; // how far I have read
  loadingOlder = false;
  #unreadAt = { seq: 0, count: 0 }; // unread messages up to a seq, as the node counted them
  #reads = null; // user -> seq, in rooms of up to 100
  #readers = null; // seq -> how many marks stand there, in larger ones
  #typing = new Map(); // user -> until when

  constructor(room, me) {
    this.room = room;
    this.me = me;
  }

  /** A snapshot: a new beginning, or (`continued`) fresh figures for the stretch we have. */
  begin(snapshot) {
    const { head, info, me, members, online, continued } = snapshot;
    if (!continued) this.#replace(snapshot);
    this.ready = true;
    this.head = Math.max(this.head, head);
    this.info = info ?? this.info;
    this.role = me?.role ?? this.role;
    this.mutedUntil = me?.muted_until ?? 0;
    this.memberCount = members;
    this.#online = online ?? 0;
    this.#counted = !snapshot.reads;
    if (this.entered) this.divider = me?.unread ? me.read : 0;
    this.entered = false;
    this.looked(me?.read ?? 0);
    if (!continued) this.#unreadAt = { seq: head, count: me?.unread ?? 0 };
    this.#reads = snapshot.reads ? new Map(Object.entries(snapshot.reads)) : null;
    this.#readers = snapshot.readers ? new Map(snapshot.readers) : null;
  }

  #replace({ events, head }) {
    this.events = events.filter(isShown);
    this.first = events[0]?.seq ?? head + 1;
    this.complete = this.first <= 1;
    this.head = head;
    for (const event of events) this.#arrived(event);
  }

  add(event) {
    this.head = event.seq;
    if (isShown(event)) this.events.push(event);
    this.#arrived(event);
    this.#typing.delete(event.from);
    this.#fold(event);
  }

  addOlder({ events, more }) {
    this.events.unshift(...events.filter(isShown));
    this.first = events[0]?.seq ?? this.first;
    this.complete = !more || this.first <= 1;
    for (const event of events) this.#arrived(event);
  }

  /** Forgets the oldest part of a long stretch; scrolling up brings it again. */
  shorten() {
    if (this.events.length < 2 * KEEP) return;
    this.events = this.events.slice(-KEEP);
    this.first = this.events[0].seq;
    this.complete = false;
  }

  /** What an event changes beside the list: who belongs here and how far they have read. */
  #fold({ kind, seq, from, body }) {
    const user = body?.user ?? from;
    if (kind === "join") {
      this.memberCount++;
      this.#reads?.set(user, seq);
      if (!this.members.has(user)) this.members.set(user, { user, role: "member", online: false });
    } else if (kind === "leave" || kind === "kick" || kind === "ban") {
      this.memberCount--;
      this.#reads?.delete(user);
      this.members.delete(user);
    } else if (kind === "room") Object.assign(this.info, body);
    else if (kind === "role" && this.members.has(user)) this.members.get(user).role = body.role;
  }

  // ---- my own messages ----------------------------------------------------------------------

  draft(clientId, text, at) {
    this.pending.push({ clientId, text, at, state: "sending" });
  }

  sent(clientId, { seq, at }) {
    this.#change(clientId, { state: "sent", seq, at });
  }

  failed(clientId, error) {
    this.#change(clientId, { state: "failed", error });
  }

  discard(clientId) {
    this.pending = this.pending.filter((draft) => draft.clientId !== clientId);
  }

  #change(clientId, change) {
    const draft = this.pending.find((each) => each.clientId === clientId);
    if (draft) Object.assign(draft, change);
  }

  /** The log has it: no longer pending. */
  #arrived({ client_id }) {
    if (client_id && this.pending.length) this.discard(client_id);
  }

  // ---- reading ------------------------------------------------------------------------------

  /** Somebody has read on; false when it is told in another form than what we know. */
  receipt({ user, read, readers }) {
    const marks = readers ? this.#readers : this.#reads;
    if (user === this.me) this.looked(read);
    if (!marks) return !this.ready;
    for (const [seq, change] of readers ?? []) marks.set(seq, (marks.get(seq) ?? 0) + change);
    if (!readers) marks.set(user, Math.max(read, marks.get(user) ?? 0));
    return true;
  }

  /** I have read up to here. */
  looked(seq) {
    if (seq <= this.readMark) return;
    this.readMark = seq;
    this.#unreadAt = { seq, count: 0 };
    if (this.#reads?.has(this.me)) this.#reads.set(this.me, seq);
  }

  get unread() {
    const { seq, count } = this.#unreadAt;
    const later = this.events.filter((e) => e.kind === "message" && e.from !== this.me && e.seq > seq);
    return count + later.length;
  }

  /** How many others have not read a message yet; null when that cannot be known. */
  unreadBy({ seq, from }) {
    if (this.#reads) {
      return [...this.#reads].filter(([user, read]) => user !== from && read < seq).length;
    }
    if (!this.#readers || from !== this.me) return null;
    let behind = this.readMark < seq ? -1 : 0; // I do not count
    for (const [mark, count] of this.#readers) if (mark < seq) behind += count;
    return Math.max(behind, 0);
  }

  // ---- people -------------------------------------------------------------------------------

  setMembers(members) {
    this.members = new Map(members.map((member) => [member.user, member]));
    this.membersReady = true;
    this.memberCount = Math.max(this.memberCount, members.length);
  }

  /** In small rooms about a person, in large ones only how many are here. */
  presence({ user, status, online }) {
    if (user === undefined) this.#online = online;
    else if (this.members.has(user)) this.members.get(user).online = status !== "offline";
  }

  get onlineCount() {
    if (this.#counted || !this.membersReady) return this.#online;
    return [...this.members.values()].filter(({ online }) => online).length;
  }

  typing({ user, active }, now) {
    if (active && user !== this.me) this.#typing.set(user, now + TYPING_MS);
    else this.#typing.delete(user);
  }

  typers(now) {
    for (const [user, until] of this.#typing) if (until <= now) this.#typing.delete(user);
    return [...this.#typing.keys()];
  }
}
