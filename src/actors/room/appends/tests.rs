//! Who is in doubt, who overtakes whom, and who is told what.

use super::super::command::Outgoing;
use super::super::state::room_of;
use std::sync::Arc;

use futures_util::FutureExt;

use super::*;
use crate::actors::Reply;
use crate::db::UserRole;
use crate::ids::RoomId;
use crate::protocol::{ClientId, Entry, Event};

const OWNER: UserId = UserId::from_raw(1);
const NEWCOMER: UserId = UserId::from_raw(2);

fn asker(user: UserId) -> Asker {
    let role = UserRole::User;
    Asker { user, role }
}

fn says(user: UserId, text: &str) -> Command {
    Command::Publish {
        asker: asker(user),
        message: Outgoing {
            client_id: ClientId::generate(),
            body: text.into(),
            reply_to: None,
            thread: None,
            mentions: Vec::new(),
        },
        reply_to: Reply::channel().0,
    }
}

fn joins(user: UserId) -> Command {
    Command::Join {
        asker: asker(user),
        reply_to: Reply::channel().0,
    }
}

fn text(command: &Command) -> &str {
    match command {
        Command::Publish { message, .. } => &message.body,
        _ => "joins",
    }
}

#[test]
fn nobody_overtakes_what_they_sent_before_and_is_in_doubt() {
    let (state, mut appends) = (room_of(OWNER), Appends::default());
    for command in [
        says(NEWCOMER, "first"),
        says(OWNER, "hello"),
        joins(NEWCOMER),
        says(NEWCOMER, "second"),
    ] {
        appends.push(command, false);
    }
    let plan = appends.plan(&state, 0);
    assert_eq!(plan.drafts.len(), 1, "the owner may write");
    let doubtful: Vec<_> = plan.doubtful.iter().map(text).collect();
    assert_eq!(doubtful, ["first", "joins", "second"]);
}

#[tokio::test]
async fn whoever_cannot_be_looked_up_is_refused_with_what_waits_behind() {
    let (mut state, mut appends) = (room_of(OWNER), Appends::default());
    let joined = state.join(asker(NEWCOMER), &HashSet::new()).unwrap();
    let place = |number| Place {
        seq: Seq(number),
        n: number,
        at: 0,
    };
    let event = Event {
        room: RoomId::random(),
        place: place(state.head().next().0),
        draft: joined.unwrap(),
    };
    state.apply(Arc::new(Entry::new(event).unwrap()));
    let mut answers = Vec::new();
    let mut say = |user, appends: &mut Appends| {
        let (reply_to, answer) = Reply::channel();
        answers.push(answer);
        let mut command = says(user, "hello");
        if let Command::Publish { reply_to: to, .. } = &mut command {
            *to = reply_to;
        }
        appends.push(command, true);
    };
    say(NEWCOMER, &mut appends);
    say(OWNER, &mut appends);
    assert_eq!(appends.plan(&state, 0).drafts.len(), 2);
    say(OWNER, &mut appends);
    say(NEWCOMER, &mut appends);
    appends.settle(&[Fate::Unknown, Fate::New(place(9))], &state);
    let answers: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.now_or_never())
        .map(|answer| answer.map(|it| it.map(|acked| acked.place.seq.0).map_err(|it| it.code)))
        .collect();
    let unavailable = Some(Err(ErrorCode::Unavailable));
    assert_eq!(answers, [unavailable, Some(Ok(9)), None, unavailable]);
    assert_eq!(
        appends.plan(&state, 0).drafts.len(),
        1,
        "who waited goes on"
    );
}
