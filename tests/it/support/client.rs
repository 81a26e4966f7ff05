//! A typed client of the native protocol that notices every broken promise by itself.
//!
//! It reads only when asked to, so a test decides when a client is slow. Whatever it reads
//! goes through [`RoomView`]; what no rule consumes waits in `pending`.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Map, Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

use super::checker::Published;
use super::draft::Draft;
use super::seconds;
use super::view::RoomView;
use super::wait::Deadline;

/// Longest silence of a node.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for one thing that has to come, whatever else comes meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);
/// Most frames that may wait for a test to ask for them.
const MOST_PENDING: usize = 100_000;
/// Most frames that are kept to explain a failure.
const MOST_REMEMBERED: usize = 12;

/// One connection, and what it has taught its owner.
pub struct WsClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The node's id of this person; empty before `hello`.
    pub user: String,
    /// The frame that answered `hello`.
    pub welcome: Value,
    /// What is known of each room, kept over reconnections.
    pub rooms: HashMap<String, RoomView>,
    pending: VecDeque<Value>,
    /// The last frames both ways, shortened, for the one who looks into a failure.
    heard: VecDeque<String>,
    close: Option<u16>,
    last_ref: u64,
}

/// A request that was refused.
#[derive(Debug)]
pub struct Refusal {
    /// `name` of the error.
    pub name: String,
    /// The whole frame.
    pub frame: Value,
}

impl WsClient {
    /// Connects and says `hello` with this token.
    pub async fn connect(address: &str, token: &str) -> Self {
        let client = Self::try_connect(address, token).await;
        client.expect("the node takes this connection")
    }

    /// The same, with a node that may be away.
    pub async fn try_connect(address: &str, token: &str) -> Option<Self> {
        let mut client = Self::try_dial(address).await?;
        client
            .send(json!({"type": "hello", "version": 1, "token": token}))
            .await;
        client.welcomed().await?;
        Some(client)
    }

    /// Opens a socket and says nothing.
    pub async fn dial(address: &str) -> Self {
        Self::try_dial(address)
            .await
            .expect("the node takes connections")
    }

    async fn try_dial(address: &str) -> Option<Self> {
        Self::dial_with(upgrade(address)).await.ok()
    }

    /// Opens a socket with a request of one's own; a refusal of the upgrade is the error.
    pub async fn dial_with(request: Request) -> Result<Self, Error> {
        let (socket, _) = connect_async(request).await?;
        Ok(Self::on(socket))
    }

    /// Opens a socket whose receiving buffer is small, so that not reading shows soon.
    pub async fn dial_narrow(address: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let stream = socket.connect(address.parse().expect("an address")).await;
        let stream = MaybeTlsStream::Plain(stream.expect("the node takes connections"));
        let (socket, _) = client_async(upgrade(address), stream)
            .await
            .expect("an upgrade");
        Self::on(socket)
    }

    fn on(socket: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Self {
        Self {
            socket,
            user: String::new(),
            welcome: Value::Null,
            rooms: HashMap::new(),
            pending: VecDeque::new(),
            heard: VecDeque::new(),
            close: None,
            last_ref: 0,
        }
    }

    /// Signs in.
    pub async fn hello(&mut self, token: &str) {
        self.send(json!({"type": "hello", "version": 1, "token": token}))
            .await;
        self.welcomed().await.expect("the node says welcome");
    }

    /// Connects again until every room that this client wants is subscribed from where it was.
    pub async fn come_back(&mut self, address: &str, token: &str) {
        let mut deadline = Deadline::new("the client is back", seconds(20));
        while self.try_come_back(address, token).await.is_none() {
            deadline.wait().await;
        }
        deadline.rewarded();
    }

    /// One attempt of it; whatever fails on the way, the next attempt goes on from there.
    pub async fn try_come_back(&mut self, address: &str, token: &str) -> Option<()> {
        let mut next = Self::try_dial(address).await?;
        next.rooms = std::mem::take(&mut self.rooms);
        next.heard = std::mem::take(&mut self.heard);
        *self = next;
        let mut resume = Map::new();
        for (room, view) in self.rooms.iter_mut().filter(|(_, view)| view.wanted) {
            view.disconnected();
            view.ask_after(view.last);
            resume.insert(room.clone(), view.position());
        }
        self.send(json!({"type": "hello", "version": 1, "token": token, "resume": resume}))
            .await;
        self.welcomed().await?;
        self.try_find(|frame| frame["type"] == "live" && frame.get("room").is_none())
            .await?;
        let rooms = self
            .rooms
            .iter()
            .filter(|(_, view)| view.wanted && !view.subscribed);
        for room in rooms.map(|(room, _)| room.clone()).collect::<Vec<_>>() {
            // Refused for now is not back yet.
            self.try_subscribe_on(&room).await?.then_some(())?;
        }
        Some(())
    }

    async fn welcomed(&mut self) -> Option<()> {
        self.welcome = self.try_find(|frame| frame["type"] == "welcome").await?;
        self.user = self.welcome["user"].as_str().expect("a user id").to_owned();
        Some(())
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: Value) {
        let text = frame.to_string();
        self.remember('>', &text);
        self.send_raw(Message::text(text)).await;
    }

    fn remember(&mut self, way: char, text: &str) {
        self.heard.truncate(MOST_REMEMBERED - 1);
        self.heard.push_front(format!("{way} {text:.300}"));
    }

    /// Sends any WebSocket message; a dead connection shows at the next read.
    pub async fn send_raw(&mut self, message: Message) {
        let _ = self.socket.send(message).await;
    }

    /// Sends a request and gives its number.
    pub async fn ask(&mut self, mut frame: Value) -> u64 {
        self.last_ref += 1;
        frame["ref"] = self.last_ref.into();
        self.send(frame).await;
        self.last_ref
    }

    /// Sends requests in one piece, so that the node has read some before it has answered any.
    pub async fn ask_at_once(&mut self, frames: impl IntoIterator<Item = Value>) -> Vec<u64> {
        let mut asked = Vec::new();
        for mut frame in frames {
            self.last_ref += 1;
            frame["ref"] = self.last_ref.into();
            // A dead connection shows at the next read.
            let _ = self.socket.feed(Message::text(frame.to_string())).await;
            asked.push(self.last_ref);
        }
        let _ = self.socket.flush().await;
        asked
    }

    /// The answer to a request: a frame, or a refusal.
    pub async fn answer(&mut self, reference: u64) -> Result<Value, Refusal> {
        let answer = self.try_answer(reference).await;
        answer.unwrap_or_else(|| panic!("closed ({:?}) before an answer", self.close))
    }

    async fn try_answer(&mut self, reference: u64) -> Option<Result<Value, Refusal>> {
        let what = format!("the answer to {reference}");
        let fits = |frame: &Value| frame["ref"] == reference;
        let frame = self.try_find_the(&what, fits).await?;
        if frame["type"] != "error" {
            return Some(Ok(frame));
        }
        let name = frame["name"]
            .as_str()
            .expect("an error has a name")
            .to_owned();
        Some(Err(Refusal { name, frame }))
    }

    /// Sends a request and waits for its answer.
    pub async fn request(&mut self, frame: Value) -> Result<Value, Refusal> {
        let reference = self.ask(frame).await;
        self.answer(reference).await
    }

    /// Sends a request that must succeed.
    pub async fn good(&mut self, frame: Value) -> Value {
        let asked = frame.to_string();
        let answer = self.request(frame).await;
        answer.unwrap_or_else(|refusal| panic!("{asked} was refused: {}", refusal.frame))
    }

    /// Sends a request that must be refused, and gives the name of the error.
    pub async fn refused(&mut self, frame: Value) -> String {
        let asked = frame.to_string();
        match self.request(frame).await {
            Ok(answer) => panic!("{asked} was not refused: {answer}"),
            Err(refusal) => refusal.name,
        }
    }

    /// Subscribes to the newest events of a room.
    pub async fn subscribe(&mut self, room: &str) -> Value {
        self.subscribe_last(room, 50).await
    }

    /// Subscribes to this many of the newest events of a room.
    pub async fn subscribe_last(&mut self, room: &str, last: usize) -> Value {
        let view = self.rooms.entry(room.to_owned()).or_default();
        view.ask_newest();
        view.wanted = true;
        self.good(json!({"type": "subscribe", "room": room, "last": last}))
            .await
    }

    /// Subscribes from where it was in the room; `None` when the connection is lost.
    pub async fn subscribe_on(&mut self, room: &str) -> Option<Value> {
        let reference = self.ask_on(room).await;
        let answer = self.try_answer(reference).await?;
        Some(answer.unwrap_or_else(|refusal| panic!("refused: {}", refusal.frame)))
    }

    /// The same where it may be refused for now: false then.
    pub async fn try_subscribe_on(&mut self, room: &str) -> Option<bool> {
        let reference = self.ask_on(room).await;
        let refusal = self.try_answer(reference).await?.err();
        if let Some(refusal) = &refusal {
            assert_eq!(refusal.frame["retry"], true, "{}", refusal.frame);
        }
        Some(refusal.is_none())
    }

    async fn ask_on(&mut self, room: &str) -> u64 {
        let view = self
            .rooms
            .get_mut(room)
            .expect("a room that was subscribed before");
        view.ask_after(view.last);
        view.wanted = true;
        let after = view.position();
        self.ask(json!({"type": "subscribe", "room": room, "after": after}))
            .await
    }

    /// Leaves the stream of a room: no event may follow the answer.
    pub async fn unsubscribe(&mut self, room: &str) {
        self.good(json!({"type": "unsubscribe", "room": room}))
            .await;
        let view = self
            .rooms
            .get_mut(room)
            .expect("a room that was subscribed before");
        view.disconnected();
        view.wanted = false;
    }

    /// Publishes and waits for the ack.
    pub async fn publish(&mut self, room: &str, text: &str) -> Published {
        let draft = Draft::new(room, text);
        let answer = self.good(draft.frame()).await;
        draft.acked(&self.user, &answer)
    }

    /// Publishes and waits until it is in the database, too.
    pub async fn publish_durably(&mut self, room: &str, text: &str) -> Published {
        let draft = Draft::new(room, text);
        let mut frame = draft.frame();
        frame["ack"] = "db".into();
        let answer = self.good(frame).await;
        draft.acked(&self.user, &answer)
    }

    /// Fetches by `history` whatever the stream has left out.
    pub async fn fill_holes(&mut self, room: &str) {
        while let Some(hole) = self.view(room).holes().first().copied() {
            let after = hole - 1;
            let ask = json!({"type": "history", "room": room, "after": after, "limit": 200});
            let page = self.good(ask).await;
            let view = self.rooms.get_mut(room).expect("a known room");
            view.page(&page);
            assert!(
                view.log.contains_key(&hole),
                "history after {after} lacks {hole}: {page}"
            );
        }
    }

    /// Reads until the stream of the room has reached this place.
    pub async fn catch_up(&mut self, room: &str, seq: u64) {
        let (mut before, mut since) = (0, Instant::now());
        while self.view(room).last < seq {
            let view = self.view(room);
            if view.last != before {
                (before, since) = (view.last, Instant::now());
            }
            assert!(
                view.subscribed,
                "waiting for {seq} without a subscription: {:?}",
                view.gaps
            );
            self.read_since(since, &format!("event {seq} after {before}"))
                .await
                .unwrap_or_else(|| panic!("closed while waiting for {seq}"));
        }
    }

    /// What is known of a room.
    pub fn view(&self, room: &str) -> &RoomView {
        self.rooms
            .get(room)
            .unwrap_or_else(|| panic!("never subscribed to {room}"))
    }

    /// The next frame of this type; others keep waiting.
    pub async fn expect(&mut self, kind: &str) -> Value {
        self.find(kind, |frame| frame["type"] == kind).await
    }

    /// The next frame that fits; others keep waiting.
    pub async fn find(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let found = self.try_find_the(what, fits).await;
        found.unwrap_or_else(|| {
            panic!(
                "closed ({:?}) while waiting for {what}: {:?}",
                self.close, self.pending
            )
        })
    }

    /// The same; `None` when the connection is over before.
    pub async fn try_find(&mut self, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        self.try_find_the("a frame", fits).await
    }

    async fn try_find_the(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let (since, mut looked_at) = (Instant::now(), 0);
        loop {
            if let Some(place) = self.pending.iter().skip(looked_at).position(&fits) {
                return self.pending.remove(looked_at + place);
            }
            looked_at = self.pending.len();
            self.read_since(since, what).await?;
        }
    }

    /// The frames that have come and nobody has asked for, once all before a `pong` are here.
    pub async fn settled(&mut self) -> Vec<Value> {
        self.good(json!({"type": "ping"})).await;
        self.taken()
    }

    /// The frames that have come and nobody has asked for.
    pub fn taken(&mut self) -> Vec<Value> {
        self.pending.drain(..).collect()
    }

    /// Reads to the end and gives the close code; 1006 when there was none.
    pub async fn closed(&mut self) -> u16 {
        let since = Instant::now();
        while self.read_since(since, "the end").await.is_some() {}
        self.close.unwrap_or(1006)
    }

    /// Closes in good order.
    pub async fn close(mut self) {
        let _ = self.socket.close(None::<CloseFrame>).await;
        self.closed().await;
    }

    /// Reads one message for somebody who has waited for something `since` then. A socket that
    /// only beats is not silent, so that silence alone would never end the wait.
    async fn read_since(&mut self, since: Instant, what: &str) -> Option<()> {
        assert!(
            since.elapsed() < PATIENCE,
            "{what} has not come within {PATIENCE:?}; waiting: {:?}",
            self.pending
        );
        self.read().await
    }

    /// Reads one message; `None` when the connection is over. Events and what else belongs to
    /// a stream go into the room's view, everything else also into `pending`.
    pub async fn read(&mut self) -> Option<()> {
        let message = timeout(TIMEOUT, self.socket.next())
            .await
            .unwrap_or_else(|_| panic!("silence; waiting: {:?}", self.pending));
        match message {
            Some(Ok(Message::Text(text))) => {
                self.remember('<', &text);
                let frame: Value = serde_json::from_str(&text).expect("frames are JSON");
                self.take(frame);
                Some(())
            }
            Some(Ok(Message::Close(frame))) => {
                self.close = Some(frame.map_or(1005, |frame| frame.code.into()));
                None
            }
            Some(Ok(Message::Binary(_))) => panic!("a binary message from the server"),
            Some(Ok(_)) => Some(()),
            Some(Err(_)) | None => None,
        }
    }

    /// Applies a frame to what is known.
    fn take(&mut self, frame: Value) {
        let kind = frame["type"]
            .as_str()
            .expect("a frame has a type")
            .to_owned();
        let room = frame["room"].as_str().unwrap_or_default();
        if let Some(view) = self.rooms.get_mut(room) {
            match kind.as_str() {
                "snapshot" => view.snapshot(&frame),
                "batch" if frame.get("ref").is_none() => view.replay(&frame),
                "gap" => view.gap(&frame),
                "event" => return view.event(&frame),
                _ => {}
            }
        }
        assert_ne!(
            kind, "event",
            "an event of a room never subscribed to: {frame}"
        );
        assert!(self.pending.len() < MOST_PENDING, "nobody takes {frame}");
        self.pending.push_back(frame);
    }
}

impl Drop for WsClient {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("what {} heard last:", self.user);
            self.heard
                .iter()
                .rev()
                .for_each(|frame| println!("  {frame}"));
        }
    }
}

/// The request that opens a socket, to be given more headers if need be.
pub fn upgrade(address: &str) -> Request {
    format!("ws://{address}/v1/ws")
        .into_client_request()
        .expect("a URL")
}
