//! ICMP errors in the words that ping has used since it was written, and that
//! people look for. The kernel's error number would do, but it has fewer: a
//! packet whose hop limit ran out and one to a host that is down are both "no
//! route to host". Types and codes: RFC 792, RFC 1122 section 3.2.2.1, RFC 1812
//! section 5.2.7.1, RFC 4443.

/// What an ICMP error of `kind` and `code` says; `info` is what the kernel adds,
/// the MTU of a packet that was too big, or where a bad header is bad.
pub(super) fn icmp_words(v6: bool, kind: u8, code: u8, info: u32) -> String {
    if v6 { words_v6(kind, code, info) } else { words_v4(kind, code, info) }
}

fn words_v4(kind: u8, code: u8, info: u32) -> String {
    let words = match (kind, code) {
        (3, 0) => "Destination Net Unreachable",
        (3, 1) => "Destination Host Unreachable",
        (3, 2) => "Destination Protocol Unreachable",
        (3, 3) => "Destination Port Unreachable",
        (3, 4) => return format!("Frag needed and DF set (mtu = {info})"),
        (3, 5) => "Source Route Failed",
        (3, 6) => "Destination Net Unknown",
        (3, 7) => "Destination Host Unknown",
        (3, 8) => "Source Host Isolated",
        (3, 9) => "Destination Net Prohibited",
        (3, 10) => "Destination Host Prohibited",
        (3, 11) => "Destination Net Unreachable for Type of Service",
        (3, 12) => "Destination Host Unreachable for Type of Service",
        (3, 13) => "Packet filtered",
        (3, 14) => "Precedence Violation",
        (3, 15) => "Precedence Cutoff",
        (3, _) => return format!("Dest Unreachable, Bad Code: {code}"),
        (4, _) => "Source Quench",
        (11, 0) => "Time to live exceeded",
        (11, 1) => "Frag reassembly time exceeded",
        (11, _) => return format!("Time exceeded, Bad Code: {code}"),
        (12, _) => return format!("Parameter problem: pointer = {info}"),
        _ => return format!("Bad ICMP type: {kind}"),
    };
    words.to_owned()
}

fn words_v6(kind: u8, code: u8, info: u32) -> String {
    let unreachable = |why: &str| format!("Destination unreachable: {why}");
    match (kind, code) {
        (1, 0) => unreachable("No route"),
        (1, 1) => unreachable("Administratively prohibited"),
        (1, 2) => unreachable("Beyond scope of source address"),
        (1, 3) => unreachable("Address unreachable"),
        (1, 4) => unreachable("Port unreachable"),
        (1, 5) => unreachable("Source address failed ingress/egress policy"),
        (1, 6) => unreachable("Reject route to destination"),
        (1, _) => unreachable(&format!("Unknown code {code}")),
        (2, 0) => format!("Packet too big: mtu={info}"),
        (2, _) => format!("Packet too big: mtu={info}, code={code}"),
        (3, 0) => "Time exceeded: Hop limit".to_owned(),
        (3, 1) => "Time exceeded: Defragmentation failure".to_owned(),
        (3, _) => format!("Time exceeded: code {code}"),
        (4, 0) => format!("Parameter problem: Wrong header field at {info}"),
        (4, 1) => format!("Parameter problem: Unknown header at {info}"),
        (4, 2) => format!("Parameter problem: Unknown option at {info}"),
        (4, _) => format!("Parameter problem: code {code} at {info}"),
        _ => format!("unknown icmp type: {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the network sent when the runs were recorded, and what iputils
    /// made of it.
    #[test]
    fn they_are_iputils_own() {
        let recorded = include_str!("recorded/iputils-20250605.txt");
        for (host, v6, kind, code, info) in [
            ("192.0.2.7", false, 3, 1, 0),
            ("192.0.2.8", false, 11, 0, 0),
            ("192.0.2.10", false, 3, 0, 0),
            ("192.0.2.11", false, 3, 13, 0),
            ("192.0.2.12", false, 3, 4, 1280),
            ("192.0.2.15", false, 3, 3, 0),
            ("192.0.2.20", false, 3, 2, 0),
            ("192.0.2.21", false, 12, 0, 20),
            ("192.0.2.23", false, 3, 10, 0),
            ("2001:db8::7", true, 1, 3, 0),
            ("2001:db8::8", true, 3, 0, 0),
            ("2001:db8::a", true, 1, 0, 0),
            ("2001:db8::b", true, 1, 1, 0),
            ("2001:db8::c", true, 2, 0, 1280),
            ("2001:db8::f", true, 1, 4, 0),
            ("2001:db8::14", true, 1, 5, 0),
            ("2001:db8::15", true, 4, 0, 6),
        ] {
            let run = recorded.split("\n$ ").find(|run| run.contains(&format!("PING {host} (")));
            let wanted = format!("icmp_seq=1 {}\n", icmp_words(v6, kind, code, info));
            assert!(run.is_some_and(|run| run.contains(&wanted)), "{host}: {wanted}");
        }
    }
}
