//! Where a request comes from, behind proxies that are trusted to say so.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::X_FORWARDED_FOR;
use ipnet::IpNet;

/// The address of the client: the newest hop that is not one of our proxies.
///
/// `None` only for connections without an address, as tests have.
pub(super) fn client_address(request: &HttpRequest, proxies: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    if proxies.is_empty() {
        return Some(peer);
    }
    let headers = request.headers().get_all(X_FORWARDED_FOR);
    let hops: Vec<&str> = headers
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(','))
        .collect();
    Some(newest_stranger(peer, &hops, proxies))
}

/// Goes back from the peer as long as what it says can be believed.
fn newest_stranger(peer: IpAddr, hops: &[&str], proxies: &[IpNet]) -> IpAddr {
    let trusted = |address: IpAddr| {
        let address = address.to_canonical();
        proxies.iter().any(|network| network.contains(&address))
    };
    let mut address = peer;
    for hop in hops.iter().rev() {
        if !trusted(address) {
            break;
        }
        match hop.trim().parse() {
            Ok(before) => address = before,
            Err(_) => break,
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, hops: &[&str]) -> String {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        newest_stranger(peer.parse().unwrap(), hops, &proxies).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(client("1.2.3.4", &["5.6.7.8"]), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &["5.6.7.8"]), "5.6.7.8");
        assert_eq!(
            client("10.0.0.1", &["9.9.9.9", "5.6.7.8", "10.0.0.2"]),
            "5.6.7.8"
        );
        assert_eq!(client("::ffff:10.0.0.1", &["5.6.7.8"]), "5.6.7.8");
        assert_eq!(client("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }
}
