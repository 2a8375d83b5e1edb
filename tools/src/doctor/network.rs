//! What the network stack has to offer: loopback, other interfaces, IPv6, the
//! kernel's times, and settings that change what is measured. Sources: udp(7),
//! tcp(7), socket(7), Documentation/admin-guide/sysctl/net.rst and
//! Documentation/networking/timestamping.rst of Linux.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nearlight::base::units::format_size;
use nearlight::sys::doctor::{STAMP_PROBES, Stamps, stamps};
use nearlight::sys::interfaces::addresses;

use super::finding::{Finding, Fix, sysctl};
use super::host::read;

/// The receive buffer that a `nearlight` listener asks for on UDP.
const RCVBUF: u64 = 4 << 20;
/// Congestion control that answers to loss alone, and paces nothing.
const LOSS_BASED: [&str; 2] = ["cubic", "reno"];
const LOOPBACK_4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOOPBACK_6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Everything of this file, asked and judged.
pub(super) fn look() -> Vec<Finding> {
    let here = addresses().unwrap_or_default();
    let all = read("/proc/sys/net/ipv6/conf/all/disable_ipv6");
    let lo = read("/proc/sys/net/ipv6/conf/lo/disable_ipv6");
    let module = read("/sys/module/ipv6/parameters/disable");
    let rcvbuf = read("/proc/sys/net/core/rmem_max");
    let cc = read("/proc/sys/net/ipv4/tcp_congestion_control");
    let poll = read("/proc/sys/net/core/busy_poll");
    let busy_read = read("/proc/sys/net/core/busy_read");
    vec![
        loopback(&here),
        others(&here),
        ipv6(all.as_deref(), lo.as_deref(), module.as_deref(), &here),
        timestamps(&stamps()),
        rcvbuf_max(rcvbuf.as_deref()),
        congestion_control(cc.as_deref()),
        busy_poll(poll.as_deref(), busy_read.as_deref()),
    ]
}

/// Whether this host can talk to itself; `here` are addresses of interfaces
/// that are up.
fn loopback(here: &[IpAddr]) -> Finding {
    const TOPIC: &str = "loopback";
    if here.contains(&LOOPBACK_4) {
        return Finding::ok(TOPIC, "up", "what this host itself adds can be measured");
    }
    Finding::limit(TOPIC, "down", "nothing on this host can be measured")
        .prevents(TOPIC)
        .fix(Fix::Here("sudo ip link set lo up".to_owned()))
}

/// The way to anybody else.
fn others(here: &[IpAddr]) -> Finding {
    const TOPIC: &str = "network";
    let far: Vec<_> = here.iter().filter(|at| !at.is_loopback()).map(ToString::to_string).collect();
    match far.as_slice() {
        [] => Finding::note(TOPIC, "no address but loopback's", "no other host can be measured"),
        [one] => Finding::ok(TOPIC, one, "other hosts can be measured"),
        [first, rest @ ..] => {
            let value = format!("{first} and {} more", rest.len());
            Finding::ok(TOPIC, value, "other hosts can be measured")
        }
    }
}

/// Whether IPv6 is on: `disable_ipv6` of all interfaces and of loopback, and
/// the parameter of the module.
fn ipv6(all: Option<&str>, lo: Option<&str>, module: Option<&str>, here: &[IpAddr]) -> Finding {
    const TOPIC: &str = "ipv6";
    let off = |value: &str| Finding::note(TOPIC, value, "nothing can be measured over IPv6");
    match (all, lo) {
        (None, _) if module == Some("1") => {
            let line = "take ipv6.disable=1 off the kernel's command line and boot".to_owned();
            off("off since boot").fix(Fix::Machine(line))
        }
        (None, _) => off("not in this kernel"),
        (Some("1"), _) => off("disabled").fix(Fix::Network("net.ipv6.conf.all.disable_ipv6", "0")),
        (_, Some("1")) => Finding::note(TOPIC, "disabled on loopback", "::1 can't be measured")
            .fix(Fix::Network("net.ipv6.conf.lo.disable_ipv6", "0")),
        (Some(_), _) if here.contains(&LOOPBACK_6) => {
            Finding::ok(TOPIC, "on", "both versions of IP can be measured")
        }
        // With loopback down it has no address of either version.
        (Some(_), _) if !here.contains(&LOOPBACK_4) => {
            Finding::note(TOPIC, "on, without ::1", "loopback is down")
        }
        (Some(_), _) => Finding::note(TOPIC, "on, without ::1", "::1 can't be measured")
            .fix(Fix::Here("sudo ip -6 address add ::1/128 dev lo".to_owned())),
    }
}

/// Whether packets get the kernel's times, by a try on loopback.
fn timestamps(tried: &io::Result<Stamps>) -> Finding {
    const TOPIC: &str = "kernel_times";
    const USER: &str = "user-space times alone: they contain this program's wake-ups";
    let stamps = match tried {
        Ok(stamps) => stamps,
        Err(why) if why.kind() == io::ErrorKind::NetworkUnreachable => {
            return Finding::note(TOPIC, "not tried", "loopback is down");
        }
        Err(why) => return Finding::limit(TOPIC, format!("refused: {why}"), USER),
    };
    let value = format!("{} received, {} sent, of {STAMP_PROBES}", stamps.received, stamps.sent);
    if *stamps == (Stamps { received: STAMP_PROBES, sent: STAMP_PROBES }) {
        // ethtool(8) -T asks a device's driver, which may know no transmit times.
        let meaning = "network and host can be told apart (of a device: ethtool -T)";
        Finding::ok(TOPIC, value, meaning)
    } else if stamps.received == 0 && stamps.sent == 0 {
        Finding::limit(TOPIC, value, USER)
    } else {
        Finding::limit(TOPIC, value, "some packets have user-space times alone")
    }
}

/// The largest receive buffer that a socket may ask for.
fn rcvbuf_max(bytes: Option<&str>) -> Finding {
    const TOPIC: &str = "rcvbuf_max";
    // In some kernels it can be seen in the first network namespace alone.
    let Some(bytes) = bytes.and_then(|text| text.parse::<u64>().ok()) else {
        return Finding::unknown(TOPIC);
    };
    let value = format_size(bytes);
    if bytes >= RCVBUF {
        return Finding::ok(TOPIC, value, "bursts of UDP have room");
    }
    Finding::note(TOPIC, value, "bursts of UDP may be lost in this host, not on the way")
        .fix(Fix::Machine(sysctl("net.core.rmem_max", &RCVBUF.to_string())))
}

/// What TCP sockets get that ask for nothing.
fn congestion_control(name: Option<&str>) -> Finding {
    const TOPIC: &str = "congestion_control";
    let Some(name) = name else {
        return Finding::unknown(TOPIC);
    };
    if LOSS_BASED.contains(&name) {
        return Finding::ok(TOPIC, name, "TCP sends at once what its window allows");
    }
    let meaning = if name.starts_with("bbr") {
        "TCP is paced by a model of the path: part of latency under load, and wild in VMs"
    } else {
        "compare latency under load only with hosts that have the same"
    };
    Finding::note(TOPIC, name, meaning)
        .fix(Fix::Network("net.ipv4.tcp_congestion_control", "cubic"))
}

/// Whether sockets that wait spin on the device first, for so many
/// microseconds: `busy_poll` for poll(2), `busy_read` for reads.
fn busy_poll(poll: Option<&str>, read: Option<&str>) -> Finding {
    const TOPIC: &str = "busy_poll";
    match (poll, read) {
        (None, None) => Finding::unknown(TOPIC),
        (Some("0") | None, Some("0") | None) => {
            Finding::ok(TOPIC, "off", "sockets wait for interrupts, as by default")
        }
        (poll, read) => {
            let value = format!("poll {} µs, read {} µs", poll.unwrap_or("?"), read.unwrap_or("?"));
            let meaning = "waits spin on the device: compare only with hosts that do the same";
            let off = "sudo sysctl -w net.core.busy_poll=0 net.core.busy_read=0";
            Finding::note(TOPIC, value, meaning).fix(Fix::Machine(off.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    const OUT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    #[test]
    fn loopback_and_the_rest_of_the_world() {
        assert_eq!(loopback(&[LOOPBACK_4, OUT]).verdict, Verdict::Ok);
        let down = loopback(&[]);
        assert_eq!((down.verdict, down.prevents), (Verdict::Limit, Some("loopback")));
        assert_eq!(down.fix, Some(Fix::Here("sudo ip link set lo up".to_owned())));
        assert_eq!(others(&[LOOPBACK_4, LOOPBACK_6]).verdict, Verdict::Note);
        assert_eq!(others(&[LOOPBACK_4, OUT]).value, "192.0.2.7");
        assert_eq!(others(&[OUT, LOOPBACK_6, OUT]).value, "192.0.2.7 and 1 more");
    }

    #[test]
    fn ipv6_is_off_in_several_ways() {
        let both = [LOOPBACK_4, LOOPBACK_6];
        let all = Fix::Network("net.ipv6.conf.all.disable_ipv6", "0");
        let lo = Fix::Network("net.ipv6.conf.lo.disable_ipv6", "0");
        assert_eq!(ipv6(Some("0"), Some("0"), Some("0"), &both).verdict, Verdict::Ok);
        assert_eq!(ipv6(Some("1"), Some("1"), Some("0"), &both[..1]).fix, Some(all));
        assert_eq!(ipv6(Some("0"), Some("1"), Some("0"), &both[..1]).fix, Some(lo));
        let boot = ipv6(None, None, Some("1"), &both[..1]);
        assert!(matches!(boot.fix, Some(Fix::Machine(line)) if line.contains("ipv6.disable=1")));
        assert_eq!(ipv6(None, None, None, &both[..1]).fix, None);
        let lost = ipv6(Some("0"), Some("0"), None, &both[..1]);
        assert_eq!(lost.value, "on, without ::1");
        assert_eq!(ipv6(Some("0"), Some("0"), None, &[]).fix, None);
    }

    #[test]
    fn missing_times_are_a_limit() {
        let some = |received, sent| timestamps(&Ok(Stamps { received, sent }));
        assert_eq!(some(STAMP_PROBES, STAMP_PROBES).verdict, Verdict::Ok);
        assert_eq!(some(STAMP_PROBES, 0).verdict, Verdict::Limit);
        assert_eq!(some(STAMP_PROBES - 1, STAMP_PROBES).value, "15 received, 16 sent, of 16");
        // ENOPROTOOPT, as a sandbox without the option answers.
        let refused = timestamps(&Err(io::Error::from_raw_os_error(92)));
        assert_eq!(refused.verdict, Verdict::Limit);
        assert_eq!(
            timestamps(&Err(io::ErrorKind::NetworkUnreachable.into())).verdict,
            Verdict::Note
        );
    }

    #[test]
    fn settings_of_other_hosts() {
        assert_eq!(rcvbuf_max(Some("4194304")).verdict, Verdict::Ok);
        let small = rcvbuf_max(Some("212992"));
        assert_eq!((small.verdict, small.value.as_str()), (Verdict::Note, "208K"));
        let wider = "sudo sysctl -w net.core.rmem_max=4194304".to_owned();
        assert_eq!(small.fix, Some(Fix::Machine(wider)));
        assert_eq!(rcvbuf_max(None).value, "unknown");
        assert_eq!(congestion_control(Some("cubic")).verdict, Verdict::Ok);
        for name in ["bbr", "dctcp"] {
            let cubic = Fix::Network("net.ipv4.tcp_congestion_control", "cubic");
            assert_eq!(congestion_control(Some(name)).fix, Some(cubic));
        }
        assert_eq!(busy_poll(Some("0"), Some("0")).verdict, Verdict::Ok);
        assert_eq!(busy_poll(Some("50"), Some("0")).value, "poll 50 µs, read 0 µs");
        assert_eq!(busy_poll(Some("0"), Some("50")).verdict, Verdict::Note);
    }
}
