//! Ready-made client lines, for every address of the machine, quoted for a
//! shell: what to paste next.

use crate::config::shown_path;
use crate::reactor::plan::{Dial, Push, Service, Via, Way};
use crate::reactor::site::Site;
use crate::sys::interfaces;
use std::net::{IpAddr, SocketAddr};

/// Logs the lines for one listener.
pub(super) fn print(site: &Site) {
    for addr in reachable(site.addr) {
        for line in lines(&site.service, addr) {
            log::info!("{line}");
        }
    }
}

/// Logs the line that plays a push.
pub(super) fn push(push: &Push) {
    let to = push.to;
    let url = match to.ip().is_multicast() {
        true => format!("udp://@{to}"),
        false => format!("udp://@:{}", to.port()),
    };
    log::info!(
        "play {} where it is pushed to: ffplay -fflags nobuffer {}",
        push.name,
        quoted(&url)
    );
}

/// Logs what a dialer will ask for.
pub(super) fn dial(dial: &Dial) {
    let Dial { way, target, name, .. } = dial;
    let authority = target.authority();
    let path = shown_path(&target.path, target.via, |_| false);
    let (verb, method) = match (way, target.via) {
        (Way::Pull, _) => ("pull", "GET"),
        (Way::Push, Via::Http { put: true }) => ("push", "PUT"),
        (Way::Push, _) => ("push", "POST"),
    };
    match target.via {
        Via::Tcp => log::info!("{verb} {name}: tcp://{authority}"),
        Via::Http { .. } => log::info!("{verb} {name}: {method} http://{authority}{path}"),
        Via::Rtmp => log::info!("{verb} {name}: rtmp://{authority}{path}"),
    }
}

/// The addresses that a listener is reached at.
fn reachable(addr: SocketAddr) -> Vec<SocketAddr> {
    if !addr.ip().is_unspecified() {
        return vec![addr];
    }
    let is_family = |ip: &IpAddr| ip.is_ipv4() == addr.is_ipv4();
    let all = interfaces::addresses().unwrap_or_default();
    all.into_iter().filter(is_family).map(|ip| SocketAddr::new(ip, addr.port())).collect()
}

fn lines(service: &Service, addr: SocketAddr) -> Vec<String> {
    let tcp = format!("tcp://{addr}");
    let publish =
        |url: &str| format!("publish: ffmpeg -re -i FILE -c copy -f mpegts {}", quoted(url));
    let play = |url: &str, more: &str| {
        format!("play: ffplay -fflags nobuffer -flags low_delay {more}{}", quoted(url))
    };
    match service {
        Service::TcpPublish { .. } => vec![publish(&format!("{tcp}?tcp_nodelay=1"))],
        Service::TcpSubscribe { .. } => vec![play(&tcp, "-f mpegts ")],
        Service::UdpPublish { group, .. } => {
            let to = group.map_or(addr, |group| SocketAddr::new(group, addr.port()));
            vec![publish(&format!("udp://{to}?pkt_size=1316"))]
        }
        Service::UdpSubscribe { .. } => {
            vec![format!("subscribe: lightmeter subscribe {}", quoted(&format!("udp://{addr}")))]
        }
        Service::Http => {
            let url = format!("http://{addr}/live.ts");
            let page = cfg!(feature = "page").then(|| format!("watch: http://{addr}/"));
            let lines = vec![
                publish(&url),
                play(&url, ""),
                format!("fetch: curl -N -o live.ts {}", quoted(&url)),
            ];
            page.into_iter().chain(lines).collect()
        }
        Service::Rtmp => {
            let url = format!("rtmp://{addr}/live");
            vec![
                format!("publish: OBS, Settings > Stream > Custom: server {url}, stream key cam"),
                format!("publish: ffmpeg -re -i FILE -c copy -f flv {url}/cam"),
                format!("play: ffplay -fflags nobuffer -rtmp_buffer 100 {url}/cam"),
            ]
        }
        Service::Dial(_) => Vec::new(),
        Service::TcpEcho => vec![format!("measure: lightmeter ping tcp {addr}")],
        Service::UdpStamp => vec![format!(
            "measure: any STAMP sender, such as stamp-suite -r {} -p {}",
            addr.ip(),
            addr.port()
        )],
        Service::UdpEcho => vec![format!("measure: lightmeter ping udp {addr}")],
    }
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        assert_eq!(quoted("tcp://[::1]:9000?tcp_nodelay=1"), "'tcp://[::1]:9000?tcp_nodelay=1'");
        assert_eq!(quoted("http://127.0.0.1:8080/live.ts"), "http://127.0.0.1:8080/live.ts");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
