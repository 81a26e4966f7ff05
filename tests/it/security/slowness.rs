//! S9: slow on purpose, and what it costs the others: nothing.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{TestNode, on_every_backend, seconds};

#[test]
fn s9_who_dawdles_is_sent_away_and_nobody_notices() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let silent = dawdle(&node, "", "");
        let half = dawdle(
            &node,
            "GET /healthz HTTP/1.1\r\nHost: x\r\n",
            "X-Slow: y\r\n",
        );
        let upgrade = dawdle(
            &node,
            "GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
            "X-Slow: y\r\n",
        );
        let others = async {
            let mut ann = node.connect("ann").await;
            for number in 0..100 {
                ann.publish(&room, &format!("undisturbed {number}")).await;
            }
        };
        tokio::join!(silent, half, upgrade, others);
    });
}

/// Opens a connection, says the beginning, then a little every second; returns when the node
/// has closed it.
async fn dawdle(node: &TestNode, beginning: &str, then: &str) {
    let mut stream = TcpStream::connect(&node.address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let speak = async {
        writer.write_all(beginning.as_bytes()).await.unwrap();
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if writer.write_all(then.as_bytes()).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let listen = async {
        let mut words = Vec::new();
        // A reset is an end, too.
        let _ = reader.read_to_end(&mut words).await;
    };
    let ended = async {
        tokio::select! {
            () = speak => {}
            () = listen => {}
        }
    };
    timeout(seconds(90), ended)
        .await
        .expect("closed within ten seconds, or nine times that");
}
