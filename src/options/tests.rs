//! Every option on real sockets, and what Linux hands on at accept.

use super::*;
use crate::sys::affinity::{allowed_cpus, pin_to};
use crate::sys::socket;
use crate::sys::testing::give_up_capabilities;
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

fn options(text: &str) -> SocketOptions {
    let mut options = SocketOptions::default();
    for pair in text.split_whitespace() {
        let (key, value) = match pair.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (pair, None),
        };
        assert_eq!(options.set(key, value), Ok(true), "{pair}");
    }
    options
}

fn refusal(key: &str, value: Option<&str>) -> String {
    SocketOptions::default().set(key, value).expect_err("a refusal")
}

fn any_port(domain: Domain) -> SocketAddr {
    if domain == Domain::IPV6 {
        (Ipv6Addr::LOCALHOST, 0).into()
    } else {
        (Ipv4Addr::LOCALHOST, 0).into()
    }
}

fn rendered(granted: &[Granted]) -> Vec<String> {
    granted.iter().map(|g| format!("{}={}", g.name, g.got)).collect()
}

/// IPv4 always, IPv6 where the machine has it.
fn domains() -> Vec<Domain> {
    let mut domains = vec![Domain::IPV4];
    if std::net::UdpSocket::bind("[::1]:0").is_ok() {
        domains.push(Domain::IPV6);
    }
    domains
}

#[test]
fn the_table_is_indexed_by_its_options_and_its_texts_parse() {
    for (index, row) in TABLE.iter().enumerate() {
        assert_eq!(row.opt as usize, index, "{}", row.name);
        assert_eq!(Opt::named(row.name), Some(row.opt));
        for text in [row.bare, row.default_tcp, row.default_udp, row.sample] {
            if !text.is_empty() {
                let value = Value::parse(row, Some(text)).expect(row.name);
                assert_eq!(
                    Value::parse(row, Some(&value.render(row))),
                    Ok(value.clone()),
                    "what is written is read back: {} {text}",
                    row.name
                );
            }
        }
        assert!(
            !(row.default_tcp.is_empty() && row.sample.is_empty()),
            "{} has nothing to probe TCP with",
            row.name
        );
        assert!(!row.constant.is_empty() && !row.purpose.is_empty());
    }
    let names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
    let mut contract: Vec<&str> = "nodelay quickack notsent_lowat user_timeout cc rcvbuf sndbuf \
        busy_poll priority dscp incoming_cpu keepalive backlog defer_accept fastopen ttl timestamp"
        .split_whitespace()
        .collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    contract.sort_unstable();
    assert_eq!(sorted, contract);
}

#[test]
fn keys_and_values_are_read_as_people_write_them() {
    let asked = |text: &str| {
        let options = options(text);
        let (row, value) = options.asked().next().expect("one");
        format!("{}={value}", row.name)
    };
    for (text, expected) in [
        ("nodelay", "nodelay=on"),
        ("nodelay=0", "nodelay=off"),
        ("notsent-lowat=16384", "notsent_lowat=16K"),
        ("user_timeout=1500us", "user_timeout=2ms"),
        ("user_timeout=off", "user_timeout=off"),
        ("keepalive", "keepalive=10s"),
        ("keepalive=1", "keepalive=10s"),
        ("keepalive=0", "keepalive=off"),
        ("keepalive=1500ms", "keepalive=2s"),
        ("defer_accept", "defer_accept=1s"),
        ("fastopen", "fastopen=256"),
        ("fastopen=1", "fastopen=1"),
        ("fastopen=off", "fastopen=0"),
        ("busy_poll=50us", "busy_poll=50us"),
        ("dscp=EF", "dscp=46"),
        ("dscp=af41", "dscp=34"),
        ("dscp=cs7", "dscp=56"),
        ("dscp=63", "dscp=63"),
        ("cc=reno", "cc=reno"),
    ] {
        assert_eq!(asked(text), expected, "{text}");
    }
    assert_eq!(SocketOptions::default().set("max_lag", Some("5ms")), Ok(false));
    assert_eq!(SocketOptions::default().set("no-delay", None), Ok(false));
}

#[test]
fn misspelt_values_are_named_with_what_is_accepted() {
    for (key, value, expected) in [
        ("nodelay", Some("maybe"), "nodelay: 'maybe' is not on, off, 1 or 0"),
        ("rcvbuf", Some("4T"), "rcvbuf: '4T' is not a size from 1 to 512M, such as 64K or 4M"),
        ("rcvbuf", None, "rcvbuf: a value is needed: a size from 1 to 512M, such as 64K or 4M"),
        ("rcvbuf", Some("513M"), "rcvbuf: '513M' is not a size from 1 to 512M, such as 64K or 4M"),
        (
            "busy_poll",
            Some("50"),
            "busy_poll: '50' is not off or a duration up to 1s, such as 50us",
        ),
        (
            "dscp",
            Some("64"),
            "dscp: '64' is not a number from 0 to 63 or a name: ef, af11 to af43, cs0 to cs7, voice-admit, le",
        ),
        ("ttl", Some("0"), "ttl: '0' is not a number from 1 to 255"),
        ("ttl", Some("256"), "ttl: '256' is not a number from 1 to 255"),
        ("ttl", Some("+4"), "ttl: '+4' is not a number from 1 to 255"),
        ("ttl", Some(""), "ttl: '' is not a number from 1 to 255"),
        ("fastopen", Some("-1"), "fastopen: '-1' is not on, off or a number up to 2147483647"),
        ("cc", Some("a\0b"), "cc: 'a\0b' is not a name of 1 to 15 letters, such as cubic"),
    ] {
        assert_eq!(refusal(key, value), expected);
    }
}

#[test]
fn merging_fills_only_what_is_unset() {
    let mut url = options("nodelay=off ttl=4");
    url.merge_under(&options("nodelay=on backlog=7"));
    url.merge_under(&SocketOptions::defaults(Transport::Tcp, false));
    assert_eq!(
        url,
        options("nodelay=off ttl=4 backlog=7 notsent_lowat=16K user_timeout=10s keepalive=10s")
    );
    assert_eq!(url.only_for(Transport::Udp), options("ttl=4"), "UDP sockets have no TCP options");
    assert_eq!(SocketOptions::defaults(Transport::Udp, true), options("rcvbuf=4M timestamp"));
    assert_eq!(url.backlog(), 7);
    assert_eq!(SocketOptions::default().backlog(), libc::SOMAXCONN);
    assert!(options("quickack").quickack());
    assert!(!options("quickack=off").quickack());
    assert_eq!(format!("{:?}", options("dscp=ef")), r#"{"dscp": "46"}"#);
}

#[test]
fn a_listener_grants_every_option_and_its_connections_inherit_them() {
    let asked = options(
        "nodelay notsent_lowat=16K user_timeout=9s cc=reno rcvbuf=64K sndbuf=96K busy_poll=off \
         dscp=af41 priority=5 incoming_cpu=0 keepalive=11s backlog=33 defer_accept=1s fastopen=16 \
         ttl=7 timestamp quickack=off",
    );
    for domain in domains() {
        let listener = Socket::new(domain, Type::STREAM.cloexec(), None).unwrap();
        let granted = asked.prepare_listener(listener.as_fd()).unwrap();
        assert_eq!(
            rendered(&granted),
            "nodelay=on notsent_lowat=16K user_timeout=9s cc=reno rcvbuf=64K sndbuf=96K \
             busy_poll=off dscp=34 priority=5 incoming_cpu=0 keepalive=11s defer_accept=1s \
             fastopen=16 ttl=7 timestamp=on"
                .split_whitespace()
                .collect::<Vec<_>>()
        );
        listener.bind(&any_port(domain).into()).unwrap();
        listener.listen(asked.backlog()).unwrap();
        let granted = asked.confirm_listening(listener.as_fd()).unwrap();
        assert_eq!(rendered(&granted), ["backlog=33"]);

        let listener = TcpListener::from(listener);
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        std::io::Write::write_all(&mut client, b"first").unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let connection = apply::Socket::of(&accepted).unwrap();
        for row in TABLE.iter().filter(|row| row.tcp == Place::Inherited) {
            let value = asked.get(row.opt).unwrap();
            assert_eq!(
                connection.read_text(row).unwrap(),
                value.render(row),
                "{} is inherited ({domain:?})",
                row.name
            );
        }
        let text = |opt: Opt| connection.read_text(opt.row()).unwrap();
        assert_eq!(text(Opt::Priority), "0", "not inherited, hence set again");
        asked.apply_accepted(accepted.as_fd()).unwrap();
        assert_eq!(text(Opt::Priority), "5");
        assert_eq!(text(Opt::QuickAck), "off");
        options("quickack").apply_accepted(accepted.as_fd()).unwrap();
        assert_eq!(text(Opt::QuickAck), "on");
        let probes = socket2::SockRef::from(&accepted);
        assert_eq!(probes.tcp_keepalive_time().unwrap().as_secs(), 8);
        assert_eq!(probes.tcp_keepalive_interval().unwrap().as_secs(), 1);
        assert_eq!(probes.tcp_keepalive_retries().unwrap(), 3);
    }
}

#[test]
fn the_defaults_are_granted_and_keepalive_can_be_turned_off() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let granted =
        SocketOptions::defaults(Transport::Tcp, false).prepare_listener(listener.as_fd()).unwrap();
    assert_eq!(
        rendered(&granted),
        ["nodelay=on", "notsent_lowat=16K", "user_timeout=10s", "keepalive=10s"]
    );
    assert!(granted.iter().all(|g| g.note.is_none()), "{granted:?}");
    let granted =
        options("keepalive=off user_timeout=off").prepare_listener(listener.as_fd()).unwrap();
    assert_eq!(rendered(&granted), ["user_timeout=off", "keepalive=off"]);
}

#[test]
fn a_udp_socket_grants_what_it_has() {
    let asked = options(
        "nodelay rcvbuf=64K sndbuf=64K busy_poll=off dscp=ef priority=6 incoming_cpu=0 ttl=4",
    );
    for domain in domains() {
        let socket = Socket::new(domain, Type::DGRAM, None).unwrap();
        let granted = asked.apply_udp(socket.as_fd()).unwrap();
        assert_eq!(
            rendered(&granted),
            [
                "rcvbuf=64K",
                "sndbuf=64K",
                "busy_poll=off",
                "dscp=46",
                "priority=6",
                "incoming_cpu=0",
                "ttl=4"
            ]
        );
        if domain == Domain::IPV6 {
            assert_eq!(socket.multicast_hops_v6().unwrap(), 4);
            assert_eq!(socket.tos_v4().unwrap(), 46 << 2, "for mapped addresses");
        } else {
            assert_eq!(socket.multicast_ttl_v4().unwrap(), 4);
        }
    }
}

#[test]
fn the_kernels_least_buffer_is_told() {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    let granted = options("rcvbuf=1").apply_udp(socket.as_fd()).unwrap();
    assert_eq!(granted[0].asked, "1");
    assert_eq!(granted[0].note.as_deref(), Some("the kernel's least"));
}

#[test]
fn refused_options_name_value_and_reason() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let why = |text: &str| {
        options(text).prepare_listener(socket.as_fd()).expect_err("refused").to_string()
    };
    let available =
        std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control").unwrap();
    assert_eq!(
        why("cc=warp"),
        format!("cc=warp: no such congestion control: this kernel has {}", available.trim())
    );
    assert!(
        why("incoming_cpu=65000")
            .starts_with("incoming_cpu=65000: no such CPU: this machine has 0 to ")
    );
    let own = options("incoming_cpu=own");
    assert_eq!(why("incoming_cpu=own"), "incoming_cpu=own: only a shard has a core of its own");
    let asked: Vec<_> = own.on_cpu(Some(1)).asked().map(|(_, value)| value).collect();
    assert_eq!(asked, ["1"]);
    assert_eq!(own.only_for(Transport::Udp).asked().count(), 0);
    let datagrams = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    let why = options("fastopen").prepare_listener(datagrams.as_fd()).expect_err("refused");
    assert_eq!(
        why.to_string(),
        "fastopen=256: this kernel, or this kind of socket, does not have TCP_FASTOPEN: leave it out"
    );
}

#[test]
fn a_backlog_beyond_somaxconn_is_told() {
    let asked = options("backlog=2000000000");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&any_port(Domain::IPV4).into()).unwrap();
    socket.listen(asked.backlog()).unwrap();
    let granted = asked.confirm_listening(socket.as_fd()).unwrap();
    let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let limit = limit.trim();
    assert_eq!(granted[0].got, limit);
    assert_eq!(
        granted[0].to_string(),
        format!(
            "backlog={limit} (asked for 2000000000): clamped by net.core.somaxconn, which is \
             {limit}: sysctl -w net.core.somaxconn=2000000000 lifts it"
        )
    );
}

#[test]
fn fastopen_without_its_sysctl_is_told() {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_fastopen").unwrap();
    let bits: u32 = text.trim().parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let granted = options("fastopen=16").prepare_listener(socket.as_fd()).unwrap();
    let expected = (bits & 2 == 0).then(|| {
        format!(
            "no effect while net.ipv4.tcp_fastopen is {bits}: servers need bit 2, \
             sysctl -w net.ipv4.tcp_fastopen={}",
            bits | 2
        )
    });
    assert_eq!(granted[0].note, expected);
}

#[test]
fn defer_accept_has_no_place_where_subscribers_connect() {
    assert_eq!(options("defer_accept=off").check_subscribe(), Ok(()));
    assert_eq!(options("nodelay").check_subscribe(), Ok(()));
    let why = options("defer_accept=5s").check_subscribe().unwrap_err();
    assert!(
        why.to_string().starts_with("defer_accept=5s: a subscriber never speaks first"),
        "{why}"
    );
}

#[test]
fn without_privilege_clamps_are_notes_and_refusals_say_what_it_takes() {
    let unprivileged = std::thread::spawn(|| {
        give_up_capabilities();
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
        let limit: u64 = limit.trim().parse().unwrap();
        let granted = options("rcvbuf=512M").apply_udp(socket.as_fd()).unwrap();
        assert_eq!(granted[0].got, crate::base::units::format_size(limit));
        assert_eq!(
            granted[0].note.as_deref(),
            Some(
                format!(
                    "clamped by net.core.rmem_max, which is {limit}: \
                     sysctl -w net.core.rmem_max=536870912 lifts it"
                )
                .as_str()
            )
        );
        let granted = options("sndbuf=512M").apply_udp(socket.as_fd()).unwrap();
        let note = granted[0].note.as_deref().unwrap();
        assert!(note.starts_with("clamped by net.core.wmem_max"), "{note}");
        // The default must never stop a server, whatever the machine allows.
        assert!(SocketOptions::defaults(Transport::Udp, true).apply_udp(socket.as_fd()).is_ok());
        let why = |text: &str| options(text).apply_udp(socket.as_fd()).unwrap_err();
        assert_eq!(
            why("priority=7").to_string(),
            "priority=7: not permitted: it takes CAP_NET_ADMIN or CAP_NET_RAW above 6; \
             run with that capability, or leave it out"
        );
        // Older kernels guard it, newer ones do not: either way no surprise.
        if let Err(why) = options("busy_poll=1s").apply_udp(socket.as_fd()) {
            assert_eq!(
                why.to_string(),
                "busy_poll=1s: not permitted: it takes CAP_NET_ADMIN on kernels that guard it \
                 (6.18 does not); run with that capability, or leave it out"
            );
        }
    });
    unprivileged.join().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    if socket2::SockRef::from(&socket).set_priority(7).is_ok() {
        // With privilege the same request is granted in full.
        let granted = options("rcvbuf=8M").apply_udp(socket.as_fd()).unwrap();
        assert_eq!((granted[0].got.as_str(), &granted[0].note), ("8M", &None));
    }
}

#[test]
fn every_option_is_probed() {
    let probes = describe().unwrap();
    assert_eq!(probes.len(), TABLE.len());
    for probe in probes {
        assert_eq!(probe.udp.is_some(), probe.row.udp, "{} on UDP", probe.row.name);
        assert!(!probe.tcp.untouched.is_empty(), "{}", probe.row.name);
    }
}

/// Of the listeners of several shards the one of the core that a connection
/// arrives on takes it; over loopback that is the client's.
#[test]
fn a_listener_of_a_core_gets_what_arrives_there() {
    let cpus = allowed_cpus().unwrap();
    let mut at = any_port(Domain::IPV4);
    let listeners: Vec<_> = cpus
        .iter()
        .map(|cpu| {
            let own = options("incoming_cpu=own").on_cpu(Some(*cpu));
            let prepare = |fd: BorrowedFd<'_>| {
                own.prepare_listener(fd).expect("it is granted");
                Ok(())
            };
            let listener = socket::TcpListener::bind(at, true, 64, prepare).unwrap();
            at = listener.local_addr().unwrap();
            listener
        })
        .collect();
    for (cpu, listener) in cpus.iter().zip(&listeners) {
        let cpu = *cpu;
        // A thread of its own: what it is pinned to goes with it.
        let clients = std::thread::spawn(move || {
            pin_to(cpu).unwrap();
            (0..20).map(|_| TcpStream::connect(at).unwrap()).collect::<Vec<_>>()
        });
        let _clients = clients.join().unwrap();
        let accepted = std::iter::from_fn(|| listener.accept().ok()).count();
        assert_eq!(accepted, 20, "on CPU {cpu} of {cpus:?}");
    }
}
