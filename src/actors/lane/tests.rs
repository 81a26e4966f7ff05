//! What waits for a socket, and what goes first when it is slow.

use super::*;

const TEA: RoomId = RoomId::from_raw(1);
const JAZZ: RoomId = RoomId::from_raw(2);

fn frame(bytes: usize) -> Bytes {
    vec![b'x'; bytes].into()
}

#[test]
fn answers_that_are_not_taken_fill_it() {
    let lane = Lane::new();
    for _ in 0..4 {
        assert!(!lane.is_full());
        lane.reply(frame(MAX_EVENTS_BYTES));
    }
    assert!(lane.is_full() && lane.is_crowded());
    lane.pop();
    assert!(!lane.is_full() && lane.is_crowded());
}

#[test]
fn events_beyond_the_limit_are_refused_and_the_busiest_room_is_known() {
    let lane = Lane::new();
    lane.events(frame(100_000), TEA, Seq(7), false).unwrap();
    lane.events(frame(100_000), TEA, Seq(8), false).unwrap();
    lane.events(frame(50_000), JAZZ, Seq(3), false).unwrap();
    assert_eq!(lane.events(frame(50_000), JAZZ, Seq(4), false), Err(Full));
    assert_eq!(lane.busiest_room(), Some(TEA));
    assert_eq!(lane.drop_room(TEA), Some(Seq(7)));
    assert_eq!(lane.events(frame(50_000), JAZZ, Seq(4), false), Ok(()));
    assert_eq!(lane.unsent_events.get(), 100_000);
}

#[test]
fn who_keeps_up_takes_a_burst_of_any_size() {
    let lane = Lane::new();
    assert!(lane.keeps_up());
    let burst = lane.events(frame(2 * MAX_UNSENT_BYTES), TEA, Seq(1), lane.keeps_up());
    assert_eq!(burst, Ok(()));
    assert!(!lane.keeps_up());
    assert_eq!(
        lane.events(frame(1), TEA, Seq(9), lane.keeps_up()),
        Err(Full)
    );
}

#[test]
fn a_slow_socket_loses_ephemerals_first_and_answers_never() {
    let lane = Lane::new();
    lane.events(frame(MAX_UNSENT_BEFORE_EPHEMERALS), TEA, Seq(1), false)
        .unwrap();
    lane.ephemeral(frame(10));
    lane.reply(frame(20));
    assert_eq!(lane.queue.borrow().len(), 2);
    lane.drop_room(TEA);
    assert_eq!(lane.unsent_replies.get(), 20);
}

#[tokio::test]
async fn who_waits_for_room_goes_on_when_something_was_sent() {
    let lane = Lane::new();
    lane.has_room().await;
    lane.reply(frame(MAX_UNSENT_BYTES));
    lane.reply(frame(1));
    let mut outbound = Outbound(lane.clone());
    let sent = std::cell::Cell::new(false);
    let waiting = async {
        lane.has_room().await;
        assert!(sent.get(), "it was crowded");
    };
    let sending = async {
        sent.set(true);
        std::future::poll_fn(|cx| Pin::new(&mut outbound).poll_next(cx)).await
    };
    let ((), taken) = tokio::join!(waiting, sending);
    assert!(taken.is_some());
}

#[test]
fn nothing_follows_a_close_frame() {
    let lane = Lane::new();
    lane.close(frame(4));
    lane.reply(frame(9));
    assert_eq!(lane.pop(), Some(frame(4)));
    assert_eq!(lane.pop(), None);
    assert!(lane.is_closed());
}

#[test]
fn a_socket_is_stuck_when_it_takes_nothing_that_waits() {
    let (lane, start) = (Lane::new(), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    let limit = Duration::from_secs(30);
    assert!(!lane.is_stuck(at(0), limit));
    assert!(!lane.is_stuck(at(100), limit), "nothing waits");
    lane.reply(frame(1));
    lane.reply(frame(1));
    assert!(!lane.is_stuck(at(129), limit));
    lane.pop();
    assert!(!lane.is_stuck(at(131), limit), "it has taken something");
    assert!(lane.is_stuck(at(161), limit));
}

#[test]
fn a_wish_to_be_called_is_answered_once() {
    let lane = Lane::new();
    let now = Instant::now();
    lane.call_at(Some(now));
    assert!(lane.take_due(now));
    assert!(!lane.take_due(now));
}
