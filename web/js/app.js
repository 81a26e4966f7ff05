// Puts the page together: somebody is signed in and sees the yard, or stands at the door.

import { Api } from "./api.js";
import { Chat } from "./chat.js";
import { explain, t } from "./i18n.js";
import { MadangClient } from "./protocol.js";
import { currentRoom, goTo } from "./route.js";
import { Session, thisDevice } from "./session.js";
import { Store } from "./store.js";
import { closeAllDialogs } from "./views/dialog.js";
import { doorView } from "./views/door.js";
import { toast } from "./views/toast.js";
import { yardView } from "./views/yard.js";

const SIGNED_OUT = [4401, 4403]; // close codes after which the tokens are worth nothing

const session = new Session();
const api = new Api(session, thisDevice());
const store = new Store();
const app = document.getElementById("app");
let chat = null;

/** Draws everything anew: at the start, for somebody else, in another language. */
function redraw() {
  closeAllDialogs();
  store.silence();
  const on = (topic, listener) => store.on(topic, listener);
  const context = { store, on, api, chat, session, entered, redraw, signOut };
  app.replaceChildren(store.me ? yardView(context) : doorView(context));
  if (!store.me) document.title = t("app");
  on("connection", reactToStop);
  on("open", () => store.open === null && currentRoom() && goTo(null));
}

function entered(user) {
  store.me = user;
  store.meet(user);
  const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/ws`;
  const client = new MadangClient({ url, token: (how) => session.pass(how), device: thisDevice() });
  chat = new Chat({ store, api, client });
  chat.onLost = (name) => toast(t("lost", { name }), { kind: "error" });
  chat.focus(!document.hidden);
  redraw();
  chat.start().then(openFromAddress);
  chat.loadRooms().catch(complain);
}

const complain = (error) => toast(explain(error), { kind: "error" });

function openFromAddress() {
  const room = currentRoom();
  if (!chat) return;
  if (!room) return chat.close();
  chat.open(room).catch((error) => {
    chat.close();
    complain(error);
  });
}

/** Signed out by the node: to the door, with the reason. Other ends the connection line tells. */
function reactToStop() {
  const { state, code } = store.connection;
  if (state === "stopped" && SIGNED_OUT.includes(code)) leaveYard(t(`stopped.${code}`));
}

function leaveYard(reason) {
  chat?.stop();
  chat = null;
  session.forget();
  store.clear();
  goTo(null);
  redraw();
  if (reason) toast(reason, { kind: "error" });
}

async function signOut(everywhere) {
  chat.stop(); // or it would hear that it has been signed out
  const answer = everywhere ? api.endAllSessions() : api.signOut();
  await answer.catch(() => {}); // out of reach: forgotten here all the same
  leaveYard();
}

/** Whoever was signed in still is; when the node is out of reach, as far as this page knows. */
async function start() {
  store.features = await api.features().catch(() => ({}));
  if (!session.signedIn) return redraw();
  try {
    const me = await api.me();
    session.rename(me);
    entered(me);
  } catch (error) {
    if (error.status !== 401) return entered(session.user);
    session.forget();
    redraw();
  }
}

function looking() {
  chat?.focus(!document.hidden && document.hasFocus());
  store.touch("look");
}

for (const event of ["focus", "blur"]) addEventListener(event, looking);
document.addEventListener("visibilitychange", () => {
  looking();
  if (!document.hidden) chat?.nudge();
});
addEventListener("hashchange", openFromAddress);
addEventListener("online", () => chat?.nudge());
session.onChangeElsewhere(() => location.reload());
start();
