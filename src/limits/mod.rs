//! How much is too much: rates, wrong guesses and counted places, all in bounded memory.
//!
//! Whoever reaches a limit is told so, and when to come again. 0 is no limit everywhere.
//! Where there are several nodes they count together: what is rare and what attackers want
//! (accounts, passwords) exactly, before it happens; the rest a moment later, so that nothing
//! that is done often waits for anybody. Counted places are those of one node.

mod attempts;
mod bucket;
mod rates;
mod shared;
mod slots;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

pub use attempts::{Attempt, Attempts};
pub use rates::{KeyedRate, Rate};
use shared::Sharing;
pub use shared::{Level, Pour, Poured, Shared};
pub use slots::{Slot, Slots};

use crate::config;
use crate::ids::{RoomId, UserId};

/// A network address as limits count it: a whole IPv6 /64 is one, as one customer has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(IpAddr);

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let network = u128::from(v6) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(network))
            }
            v4 => v4,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Every limit that is shared by the connections of a node.
#[derive(Debug)]
pub struct Rates {
    /// New accounts and guests, by address.
    pub signups: KeyedRate<Address>,
    /// Wrong passwords, by the name that was tried.
    pub signins_by_account: Attempts<String>,
    /// Wrong passwords, by address.
    pub signins_by_address: Attempts<Address>,
    /// Rooms joined, left and made.
    pub joins: KeyedRate<UserId>,
    /// Messages of one user on all their connections, and over REST.
    pub publish: KeyedRate<UserId>,
    /// Messages in one room.
    pub room_publish: KeyedRate<RoomId>,
    /// Pages of history and REST requests.
    pub reads: KeyedRate<UserId>,
    /// Sockets on this node.
    pub connections: Slots<()>,
    /// Sockets from one address.
    pub connections_by_address: Slots<Address>,
    /// Where nodes count together.
    sharing: Sharing,
}

impl Rates {
    /// The limits that the configuration asks for.
    pub fn new(limits: &config::Limits) -> Self {
        let per_user = limits.publish_per_second.saturating_mul(2);
        let room = limits.room_publish_per_second;
        let sharing = Sharing::default();
        Self {
            signups: KeyedRate::per_minute(
                "signups",
                "new accounts",
                limits.signups_per_minute,
                &sharing,
            ),
            signins_by_account: Attempts::per_minute(
                "signins_account",
                "wrong passwords",
                limits.signin_failures_per_minute,
                &sharing,
            ),
            signins_by_address: Attempts::per_minute(
                "signins_address",
                "wrong passwords",
                limits.signin_failures_per_address_per_minute,
                &sharing,
            ),
            joins: twice("joins", "joins", limits.joins_per_second, &sharing),
            publish: twice("publish", "messages", per_user, &sharing),
            room_publish: KeyedRate::per_second(
                "room_publish",
                "messages in this room",
                room,
                room,
                &sharing,
            ),
            reads: twice("reads", "requests", limits.reads_per_second, &sharing),
            connections: Slots::new(limits.connections),
            connections_by_address: Slots::new(limits.connections_per_address),
            sharing,
        }
    }

    /// From now on counts together with other nodes; once.
    pub fn share(&self, shared: Arc<dyn Shared>) {
        self.sharing.begin(shared);
    }

    /// Tells the other nodes what was let through here, and learns what they let through; to
    /// be called again and again. What is counted exactly does not need it.
    pub async fn exchange(&self) {
        self.joins.exchange().await;
        self.publish.exchange().await;
        self.room_publish.exchange().await;
        self.reads.exchange().await;
    }

    /// From now on these limits. What is counted stays counted where nothing changes.
    pub fn follow(&self, limits: &config::Limits) {
        let fresh = Self::new(limits);
        self.signups.follow(&fresh.signups);
        self.joins.follow(&fresh.joins);
        self.publish.follow(&fresh.publish);
        self.room_publish.follow(&fresh.room_publish);
        self.reads.follow(&fresh.reads);
        self.signins_by_account
            .allow(limits.signin_failures_per_minute);
        self.signins_by_address
            .allow(limits.signin_failures_per_address_per_minute);
        self.connections.allow(limits.connections);
        self.connections_by_address
            .allow(limits.connections_per_address);
    }
}

/// A rate that may be doubled for a moment.
fn twice<K: Clone + Eq + std::hash::Hash + fmt::Display>(
    limit: &'static str,
    what: &'static str,
    per_second: u32,
    sharing: &Sharing,
) -> KeyedRate<K> {
    let burst = per_second.saturating_mul(2);
    KeyedRate::per_second(limit, what, per_second, burst, sharing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn one_customer_is_one_address() {
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:2"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:10.0.0.1"), address("10.0.0.1"));
        assert_ne!(address("10.0.0.1"), address("10.0.0.2"));
    }
}
