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
use bucket::Quota;
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
        let quotas = Quotas::of(limits);
        let sharing = Sharing::default();
        Self {
            signups: KeyedRate::new("signups", "new accounts", quotas.signups, &sharing),
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
            joins: KeyedRate::new("joins", "joins", quotas.joins, &sharing),
            publish: KeyedRate::new("publish", "messages", quotas.publish, &sharing),
            room_publish: KeyedRate::new(
                "room_publish",
                "messages in this room",
                quotas.room_publish,
                &sharing,
            ),
            reads: KeyedRate::new("reads", "requests", quotas.reads, &sharing),
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
        let quotas = Quotas::of(limits);
        self.signups.allow(quotas.signups);
        self.joins.allow(quotas.joins);
        self.publish.allow(quotas.publish);
        self.room_publish.allow(quotas.room_publish);
        self.reads.allow(quotas.reads);
        self.signins_by_account
            .allow(limits.signin_failures_per_minute);
        self.signins_by_address
            .allow(limits.signin_failures_per_address_per_minute);
        self.connections.allow(limits.connections);
        self.connections_by_address
            .allow(limits.connections_per_address);
    }
}

/// What the configuration lets through.
struct Quotas {
    signups: Option<Quota>,
    joins: Option<Quota>,
    publish: Option<Quota>,
    room_publish: Option<Quota>,
    reads: Option<Quota>,
}

impl Quotas {
    fn of(limits: &config::Limits) -> Self {
        let room = limits.room_publish_per_second;
        Self {
            signups: Quota::per_minute(limits.signups_per_minute),
            joins: Quota::doubled(limits.joins_per_second),
            publish: Quota::doubled(limits.publish_per_second.saturating_mul(2)),
            room_publish: Quota::per_second(room, room),
            reads: Quota::doubled(limits.reads_per_second),
        }
    }
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
