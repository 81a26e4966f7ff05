// What the node says, written into the store.

const PREVIEWED = new Set(["message", "system"]);
const MEMBERSHIP = new Set(["join", "leave", "kick", "ban", "role"]);

/** Connects a client's frames to the store; `chat` is asked for what has to be looked up. */
export function listen(chat, { store, client }) {
  const heard = {
    state: (state) => {
      store.connection = state;
      store.touch("connection");
    },
    welcome: (frame) => welcomed(chat, store, frame),
    snapshot: (frame) => began(chat, store, frame),
    resumed: ({ room }) => client.subscribe(room), // what was read meanwhile, and who is here
    event: ({ room, event }) => happened(chat, store, room, event),
    lost: ({ room, reason }) => lost(chat, store, room, reason),
    inbox: (frame) => elsewhere(chat, store, frame),
    account: (frame) => aboutMe(chat, store, frame),
    receipt: (frame) => inTalk(store, frame, "talk", (talk) => {
      const fits = talk.receipt(frame); // the form changes when a room grows or shrinks over 100
      if (!fits && store.open === talk.room) client.subscribe(talk.room);
    }),
    typing: (frame) => inTalk(store, frame, "typing", (talk) => talk.typing(frame, Date.now())),
    presence: (frame) => inTalk(store, frame, "members", (talk) => talk.presence(frame)),
  };
  for (const [type, listener] of Object.entries(heard)) client.on(type, listener);
}

function inTalk(store, { room, user }, topic, change) {
  const talks = room ? [store.talks.get(room)] : [...store.talks.values()];
  talks.filter(Boolean).forEach(change);
  store.touch(topic);
  if (user && !store.nameOf(user)) store.touch("people");
}

/** The rooms as they are now; when something is new among them, their last messages too. */
function welcomed(chat, store, { rooms = [] }) {
  let changed = false;
  for (const room of rooms) {
    const known = store.rooms.get(room.room);
    changed ||= known?.head !== room.head;
    if (known) Object.assign(known, room);
  }
  store.touch("rooms");
  if (changed || !store.roomsReady) chat.loadRooms().catch(() => {}); // the next welcome tries again
}

function began(chat, store, frame) {
  const talk = store.talks.get(frame.room);
  if (!talk) return;
  talk.begin(frame);
  const room = store.rooms.get(frame.room);
  if (room) {
    const { name, ...info } = frame.info; // a direct message has no name of its own
    Object.assign(room, info, name && { name }, { head: frame.head, members: frame.members });
  }
  chat.loadMembers(frame.room).then(() => chat.meetPeople(talk.events.flatMap(involved)));
  count(store, talk);
  store.touch("talk", "members", "typing");
}

const involved = ({ from, body }) => [from, body?.user];

function happened(chat, store, id, event) {
  const talk = store.talks.get(id);
  if (!talk) return;
  talk.add(event);
  chat.meetPeople(involved(event));
  const room = store.rooms.get(id);
  if (room) {
    room.head = event.seq;
    if (PREVIEWED.has(event.kind)) room.last = event;
    if (event.kind === "room") Object.assign(room, event.body);
  }
  if (MEMBERSHIP.has(event.kind)) {
    if (room) room.members = talk.memberCount;
    chat.loadMembersSoon(id);
    store.touch("members");
  }
  count(store, talk);
  store.touch("talk", "typing");
}

function count(store, talk) {
  const room = store.rooms.get(talk.room);
  if (room) room.unread = talk.unread;
  store.touch("rooms");
}

function lost(chat, store, room, reason) {
  const name = store.rooms.get(room)?.name ?? "";
  chat.forget(room);
  if (reason !== "leave") chat.onLost?.(name, reason);
}

/** A room that is not on the screen has changed; one never heard of has just become mine. */
function elsewhere(chat, store, { room, head, unread, mentions, last }) {
  const known = store.rooms.get(room);
  if (!known) return void chat.loadRoom(room).catch(() => {}); // not mine after all
  Object.assign(known, { head, unread, mentions });
  if (last && PREVIEWED.has(last.kind)) known.last = last;
  chat.meetPeople([last?.from]);
  store.touch("rooms");
}

function aboutMe(chat, store, { kind, data = {} }) {
  const known = store.rooms.get(data.room);
  if (kind === "read" && known) {
    store.talks.get(data.room)?.looked(data.read);
    Object.assign(known, { unread: data.unread, mentions: data.mentions });
    store.touch("rooms", "talk");
  } else if (kind === "invited" && data.room && !known) {
    chat.loadRoom(data.room).catch(() => {}); // taken back meanwhile
  } else if (kind === "profile") {
    const id = data.user ?? data.id ?? store.me?.id;
    if (data.name) store.meet({ id, name: data.name });
    if (id === store.me?.id) Object.assign(store.me, data.name && { name: data.name });
    store.touch("me", "people");
  }
}
