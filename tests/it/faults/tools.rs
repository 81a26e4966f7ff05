//! The tools of the suite do what they are named for: a Redis that loses just what it was told
//! to lose, a wire that is cut just when it is cut.

use futures_util::StreamExt;
use redis::{Cmd, cmd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{Proxy, Redis, eventually, in_a_runtime, seconds};

fn set(value: &str) -> Cmd {
    let mut set = cmd("SET");
    set.arg("key").arg(value);
    set
}

fn get() -> Cmd {
    let mut get = cmd("GET");
    get.arg("key");
    get
}

#[test]
fn redis_keeps_or_loses_what_it_is_told_to() {
    in_a_runtime(async || {
        let mut redis = Redis::start().await;
        redis.ask::<()>(&set("kept"));
        redis.kill();
        redis.restart().await;
        assert_eq!(redis.ask::<String>(&get()), "kept");
        // Redis writes its file before it answers.
        let mark = redis.mark();
        redis.ask::<()>(&set("lost"));
        redis.restart_at(mark).await;
        assert_eq!(redis.ask::<String>(&get()), "kept");
        redis.restart_empty().await;
        assert_eq!(redis.ask::<Option<String>>(&get()), None);
        assert_eq!(redis.keys("*"), Vec::<String>::new());
    });
}

#[test]
fn a_replica_takes_over_with_what_it_had() {
    in_a_runtime(async || {
        let mut redis = Redis::start().await;
        let address = redis.address();
        redis.ask::<()>(&set("heard"));
        let replica = redis.replica().await;
        redis.ask::<()>(&set("not heard"));
        redis.fail_over(replica);
        assert_eq!(redis.address(), address);
        eventually("the replica answers at its place", seconds(5), async || {
            (redis.ask::<String>(&get()) == "heard").then_some(())
        })
        .await;
        redis.ask::<()>(&set("new"));
        redis.restart().await;
        assert_eq!(redis.ask::<String>(&get()), "new");
    });
}

#[test]
fn doorbells_are_counted_and_cut() {
    in_a_runtime(async || {
        let redis = Redis::start().await;
        let mut bell = redis.client().get_async_pubsub().await.unwrap();
        bell.subscribe("bell").await.unwrap();
        assert_eq!(redis.channels("b*"), ["bell"]);
        redis.forget_calls();
        assert_eq!(redis.publish("bell", b"once"), 1);
        assert_eq!(redis.publish("nobody", b"listens"), 0);
        assert_eq!(redis.calls("publish"), 2);
        assert_eq!(redis.cut_doorbells(), 1);
        let rung = timeout(seconds(60), bell.into_on_message().collect::<Vec<_>>()).await;
        assert_eq!(rung.expect("it was cut").len(), 1);
    });
}

#[test]
fn a_full_redis_refuses_and_a_paused_one_is_silent() {
    in_a_runtime(async || {
        let redis = Redis::start().await;
        redis.set("maxmemory", "1");
        let mut connection = redis.client().get_connection().unwrap();
        let full = set("x").query::<()>(&mut connection).unwrap_err();
        assert!(full.to_string().contains("OOM"), "{full}");
        redis.set("maxmemory", "0");
        set("x").query::<()>(&mut connection).unwrap();
        redis.pause();
        let quick = std::time::Duration::from_millis(300);
        connection.set_read_timeout(Some(quick)).unwrap();
        get().query::<String>(&mut connection).unwrap_err();
        redis.go_on();
        assert_eq!(redis.ask::<String>(&get()), "x");
    });
}

/// A server that gives back what it gets.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.into_split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    address
}

/// Sends a byte and gives it back as it returns; `None` when the connection has ended.
async fn there_and_back(wire: &mut TcpStream, byte: u8) -> Option<u8> {
    wire.write_u8(byte).await.ok()?;
    wire.read_u8().await.ok()
}

#[test]
fn a_wire_is_whole_silent_or_cut() {
    in_a_runtime(async || {
        let proxy = Proxy::to(&echo().await).await;
        let mut wire = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(there_and_back(&mut wire, 1).await, Some(1));
        proxy.silence();
        let moment = std::time::Duration::from_millis(200);
        let answer = timeout(moment, there_and_back(&mut wire, 2)).await;
        assert!(answer.is_err(), "it was to be silent: {answer:?}");
        // What was said into the silence arrives late, and nothing is lost.
        proxy.mend();
        assert_eq!(wire.read_u8().await.ok(), Some(2));
        proxy.cut();
        let ended = timeout(seconds(60), there_and_back(&mut wire, 3)).await;
        assert_eq!(ended, Ok(None), "it was to be cut");
        let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
        let ended = timeout(seconds(60), there_and_back(&mut refused, 4)).await;
        assert_eq!(ended, Ok(None), "a new one is cut, too");
        proxy.mend();
        let mut again = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(there_and_back(&mut again, 5).await, Some(5));
    });
}
