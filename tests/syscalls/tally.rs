//! Calls by name, and the server's own count of them.

use crate::load::Load;
use crate::server::Server;
use std::collections::BTreeMap;
use std::fmt;

/// How often each call was made, and how often in vain. Names are the
/// kernel's: a send(2) is a sendto(2) there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls(BTreeMap<String, Count>);

/// All of one call, and those of them that failed: they found nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    all: u64,
    in_vain: u64,
}

impl Calls {
    /// Notes that a call was made.
    pub(crate) fn add(&mut self, name: &str, all: u64, in_vain: u64) {
        if all > 0 {
            let count = self.0.entry(name.to_owned()).or_default();
            count.all += all;
            count.in_vain += in_vain;
        }
    }

    /// How often any of these did something.
    pub(crate) fn made(&self, names: &[&str]) -> u64 {
        self.all(names) - self.in_vain(names)
    }

    /// How often any of these found nothing.
    pub(crate) fn in_vain(&self, names: &[&str]) -> u64 {
        self.of(names).map(|count| count.in_vain).sum()
    }

    /// How often any of these was made.
    pub(crate) fn all(&self, names: &[&str]) -> u64 {
        self.of(names).map(|count| count.all).sum()
    }

    fn of<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a Count> {
        self.0.iter().filter(|(name, _)| names.contains(&name.as_str())).map(|(_, count)| count)
    }

    /// What is none of these.
    pub(crate) fn others(&self, names: &[&str]) -> Self {
        let strange = |name: &String| !names.contains(&name.as_str());
        Self(self.0.clone().into_iter().filter(|(name, _)| strange(name)).collect())
    }

    /// Whether there were none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of `self` that came after `earlier`.
    fn since(&self, earlier: &Self) -> Self {
        let mut calls = Self::default();
        for (name, now) in &self.0 {
            let then = earlier.0.get(name).copied().unwrap_or_default();
            calls.add(name, now.all - then.all, now.in_vain - then.in_vain);
        }
        calls
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<String> = self
            .0
            .iter()
            .map(|(name, count)| match *count {
                Count { all, in_vain: 0 } => format!("{all} {name}"),
                Count { all, in_vain } => {
                    format!("{} {name} (and {in_vain} in vain)", all - in_vain)
                }
            })
            .collect();
        f.write_str(if list.is_empty() { "no calls" } else { "" })?;
        f.write_str(&list.join(", "))
    }
}

/// What the server says that it has called so far.
fn so_far(server: &Server) -> Calls {
    let page = server.page("/metrics");
    let read = |family: &str| -> BTreeMap<String, u64> {
        let start = format!("nearlight_{family}{{call=\"");
        let entry = |line: &str| {
            let (name, value) = line.strip_prefix(&start)?.split_once("\"} ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        page.lines().filter_map(entry).collect()
    };
    let (made, empty) = (read("calls_total"), read("calls_empty_total"));
    assert!(made.contains_key("recv") && empty.contains_key("recv"), "no counts in:\n{page}");
    let mut calls = Calls::default();
    for (name, all) in made {
        let kernels = match name.as_str() {
            "recv" => "recvfrom",
            "send" => "sendto",
            "accept" => "accept4",
            other => other,
        };
        calls.add(kernels, all, empty.get(&name).copied().unwrap_or(0));
    }
    calls
}

/// What the server counts for some work. Asking is a receive and a send itself,
/// and is taken off; receives that find nothing come and go while it spins.
pub(crate) fn counted(load: &mut Load, work: impl FnOnce(&mut Load)) -> Calls {
    let first = so_far(&load.server);
    let second = so_far(&load.server);
    work(load);
    let third = so_far(&load.server);
    let asking = second.since(&first);
    let expected = |names: &[&str]| asking.made(names) == 1;
    assert!(expected(&["recvfrom"]) && expected(&["sendto", "sendmsg"]), "a page: {asking}");
    let mut calls = third.since(&second);
    for (name, count) in &mut calls.0 {
        let page = asking.0.get(name).copied().unwrap_or_default();
        let made = (count.all - count.in_vain) - (page.all - page.in_vain);
        // A page is looked for once more, or not: that depends on who is faster.
        let looks = page.in_vain.max(u64::from(name == "recvfrom"));
        count.in_vain = count.in_vain.saturating_sub(looks);
        count.all = made + count.in_vain;
    }
    calls.0.retain(|_, count| count.all > 0);
    calls
}
