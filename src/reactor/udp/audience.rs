//! Who is sent a stream over UDP on one socket, and who of them is next.
//!
//! A member is on one list: `done` while it has everything, `due` while it has
//! not, `waiting` for a join point; one that has left is on it until the list
//! comes to it. Members are served from the front of `due`
//! and go to its back, so what is left when a turn's time is up is the front
//! of the next, and no one is served twice before all have been once.

use crate::base::{Histogram, Instant, Position};
use crate::limits::{UDP_GONE, UDP_SUBSCRIBERS};
use crate::reactor::residence::Stays;
use crate::reactor::slab::{Key, Slab};
use crate::sys::address::Destination;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// What a member is sent before its next byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing.
    #[default]
    Nothing,
    /// What starts a subscriber at a join point.
    Fresh,
    /// What resumes one there that has left the stream.
    Resume,
}

/// One address that is sent the stream.
#[derive(Debug)]
pub(super) struct Member {
    /// Where to.
    pub(super) to: Destination,
    /// The next byte to send; of one that waits, the first that it may start
    /// at.
    pub(super) cursor: Position,
    /// Sent before that byte; of one that waits, before the one it starts at.
    pub(super) before: Before,
    /// When it last joined or skipped.
    pub(super) since: Instant,
    /// It has been at the head since.
    pub(super) is_current: bool,
    /// How long frames stayed for it.
    pub(super) residence: Option<Box<Histogram>>,
    /// When it was last heard.
    pub(super) last_seen: Instant,
    /// The epoch of its token.
    pub(super) token_epoch: u64,
    /// A push: it stays without saying so.
    pub(super) is_fixed: bool,
    /// The kernel has not refused yet to cut datagrams apart on the way there.
    pub(super) has_gso: bool,
}

impl Member {
    /// Someone who has just asked.
    pub(super) fn new(address: SocketAddr, token_epoch: u64, now: Instant) -> Self {
        Self {
            to: Destination::from(address),
            cursor: Position::ZERO,
            before: Before::Fresh,
            since: now,
            is_current: false,
            residence: None,
            last_seen: now,
            token_epoch,
            is_fixed: false,
            has_gso: true,
        }
    }

    /// Those who need the same are sent it together.
    fn needs(&self) -> (Position, Before, bool) {
        (self.cursor, self.before, self.has_gso)
    }
}

/// The members of one socket.
#[derive(Default)]
pub(super) struct Audience {
    members: Slab<Member>,
    /// In an order that costs a flood of requests a few comparisons each.
    addresses: BTreeMap<SocketAddr, Key>,
    due: VecDeque<Key>,
    done: VecDeque<Key>,
    waiting: Vec<Key>,
    /// Those being served.
    group: Vec<Key>,
}

impl Audience {
    /// Takes a member in, to wait for a join point; false if there is no room.
    pub(super) fn join(&mut self, address: SocketAddr, member: Member) -> bool {
        if self.addresses.len() >= UDP_SUBSCRIBERS {
            return false;
        }
        let key = self.members.insert(member);
        if let Some(old) = self.addresses.insert(address, key) {
            self.members.remove(old);
        }
        let Self { members, waiting, .. } = self;
        // Who comes and goes before there is a join point must not fill memory.
        if waiting.len() > 2 * members.len() + UDP_GONE {
            waiting.retain(|key| members.get(*key).is_some());
        }
        waiting.push(key);
        true
    }

    /// True if there is nobody.
    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Everybody.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// The member of an address.
    pub(super) fn find(&mut self, address: SocketAddr) -> Option<&mut Member> {
        self.members.get_mut(*self.addresses.get(&address)?)
    }

    /// Lets a member go. The lists drop its key when they come to it.
    pub(super) fn leave(&mut self, address: SocketAddr) {
        if let Some(key) = self.addresses.remove(&address) {
            self.members.remove(key);
        }
    }

    /// Lets those go who were last heard before `since`; answers when the one
    /// longest silent was.
    pub(super) fn expire(&mut self, since: Instant) -> Option<Instant> {
        let Self { addresses, members, .. } = self;
        addresses.retain(|_, key| {
            let stays = members.get(*key).is_some_and(|one| one.is_fixed || one.last_seen > since);
            if !stays {
                members.remove(*key);
            }
            stays
        });
        members.iter().filter(|one| !one.is_fixed).map(|one| one.last_seen).min()
    }

    /// Everybody waits for a join point of a stream that begins, from where
    /// `first` says for somebody who has been here since then.
    pub(super) fn start_over(&mut self, first: impl Fn(Instant) -> Position) {
        let all = self.due.drain(..).chain(self.done.drain(..));
        self.waiting.extend(all);
        for key in &self.waiting {
            if let Some(member) = self.members.get_mut(*key) {
                (member.cursor, member.before) = (first(member.since), Before::Fresh);
            }
        }
    }

    /// There is something new: everybody is due, and whoever was first the
    /// last time is last.
    pub(super) fn renew(&mut self) {
        self.done.rotate_left(usize::from(!self.done.is_empty()));
        self.due.append(&mut self.done);
    }

    /// There is a join point at `at`: those are due who wait for one there or
    /// earlier.
    pub(super) fn wake(&mut self, at: Position, now: Instant) {
        let Self { members, due, waiting, .. } = self;
        waiting.retain(|key| {
            let Some(member) = members.get_mut(*key) else { return false };
            if member.cursor > at {
                return true;
            }
            (member.cursor, member.since, member.is_current) = (at, now, false);
            due.push_back(*key);
            false
        });
    }

    /// Any frame is a join point: everybody is due, each from where it may
    /// start.
    pub(super) fn wake_all(&mut self, now: Instant) {
        for key in self.waiting.drain(..) {
            if let Some(member) = self.members.get_mut(key) {
                (member.before, member.since) = (Before::Nothing, now);
                member.is_current = false;
                self.due.push_back(key);
            }
        }
    }

    /// The one to serve next.
    pub(super) fn front(&mut self) -> Option<&Member> {
        while let Some(key) = self.due.front() {
            if self.members.get(*key).is_some() {
                break;
            }
            self.due.pop_front();
        }
        self.members.get(*self.due.front()?)
    }

    /// Takes the front and those behind it who are to be sent the same, at most
    /// `limit`: the group.
    pub(super) fn gather(&mut self, limit: usize) {
        self.group.clear();
        let Some(same) = self.front().map(Member::needs) else { return };
        while self.group.len() < limit
            && let Some(key) = self.due.front()
        {
            match self.members.get(*key) {
                Some(one) if one.needs() != same => return,
                Some(_) => self.group.push(*key),
                None => {}
            }
            self.due.pop_front();
        }
    }

    /// Where the group's members are.
    pub(super) fn group(&self) -> impl Iterator<Item = &Destination> + Clone {
        self.group.iter().filter_map(|key| Some(&self.members.get(*key)?.to))
    }

    /// The kernel would not cut what that one of the group was sent.
    pub(super) fn refuse_gso(&mut self, nth: usize) {
        if let Some(one) = self.group.get(nth).and_then(|key| self.members.get_mut(*key)) {
            one.has_gso = false;
        }
    }

    /// Counts how long what the group was sent stayed, for those who keep up;
    /// answers how many they are.
    pub(super) fn count(&mut self, stays: &Stays, now: Instant) -> u32 {
        let mut current = 0;
        for key in &self.group {
            if let Some(one) = self.members.get_mut(*key).filter(|one| one.is_current) {
                stays.record(now, 1, one.residence.get_or_insert_default());
                current += 1;
            }
        }
        current
    }

    /// The group has been sent everything before `at`.
    pub(super) fn served(&mut self, at: Position, head: Position) {
        for key in self.group.drain(..) {
            if let Some(member) = self.members.get_mut(key) {
                (member.cursor, member.before) = (at, Before::Nothing);
                member.is_current |= at >= head;
                let list = if at < head { &mut self.due } else { &mut self.done };
                list.push_back(key);
            }
        }
    }

    /// The front is sent nothing for now: the next round begins with all.
    pub(super) fn set_aside(&mut self) {
        self.done.extend(self.due.pop_front());
    }

    /// The front leaves the stream where it is. It goes on at `to`, or waits
    /// for a join point ahead.
    pub(super) fn skip(&mut self, to: Option<Position>, has_prefix: bool, now: Instant) {
        let Some(key) = self.due.pop_front() else { return };
        let Some(member) = self.members.get_mut(key) else { return };
        member.before = if has_prefix { Before::Resume } else { Before::Nothing };
        match to {
            Some(to) => {
                (member.cursor, member.since, member.is_current) = (to, now, false);
                self.due.push_back(key);
            }
            None => self.waiting.push(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HEAD: Position = Position(100);

    fn address(n: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 1000 + n).into()
    }

    /// `count` members who have everything up to `HEAD`.
    fn audience(count: u16) -> Audience {
        let mut audience = Audience::default();
        for n in 0..count {
            assert!(audience.join(address(n), Member::new(address(n), 0, Instant::ZERO)));
        }
        audience.wake_all(Instant::ZERO);
        while audience.front().is_some() {
            audience.gather(usize::MAX);
            audience.served(HEAD, HEAD);
        }
        audience
    }

    /// The group's port numbers, counted from the first member's.
    fn gathered(audience: &mut Audience, limit: usize) -> Vec<u16> {
        audience.gather(limit);
        audience.group().map(|to| to.address().port() - 1000).collect()
    }

    #[test]
    fn all_are_served_once_before_anyone_is_again_and_the_first_changes() {
        let mut audience = audience(5);
        let (mut firsts, mut head) = (Vec::new(), HEAD);
        for _ in 0..5 {
            audience.renew();
            let half = head + 10;
            head += 20;
            let mut rounds = [Vec::new(), Vec::new()];
            for (round, end) in rounds.iter_mut().zip([half, head]) {
                for limit in [2, 2, 1] {
                    round.extend(gathered(&mut audience, limit));
                    audience.served(end, head);
                }
            }
            assert!(audience.front().is_none());
            for round in &mut rounds {
                firsts.push(round[0]);
                round.sort_unstable();
                assert_eq!(*round, [0, 1, 2, 3, 4]);
            }
        }
        firsts.sort_unstable();
        assert_eq!(firsts, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
    }

    #[test]
    fn a_group_shares_a_cursor_and_leavers_are_in_none() {
        let mut audience = audience(4);
        audience.renew();
        gathered(&mut audience, 2);
        audience.served(HEAD + 10, HEAD + 20);
        audience.leave(address(3));
        assert_eq!(gathered(&mut audience, 9), [0]);
        audience.served(HEAD + 20, HEAD + 20);
        assert_eq!(gathered(&mut audience, 9), [1, 2]);
        audience.leave(address(2));
        assert_eq!(audience.group().count(), 1);
    }

    #[test]
    fn who_skips_waits_for_a_join_point_and_is_told_that_it_resumes() {
        let mut audience = audience(2);
        audience.renew();
        audience.skip(None, true, Instant::ZERO);
        audience.wake(HEAD - 1, Instant::ZERO);
        assert_eq!(gathered(&mut audience, 9).len(), 1);
        audience.served(HEAD + 5, HEAD + 5);
        assert!(audience.front().is_none(), "the other one waits");
        audience.wake(HEAD + 5, Instant::from_nanos(7));
        let member = audience.front().expect("it is due");
        assert_eq!((member.cursor, member.before), (HEAD + 5, Before::Resume));
        assert_eq!(member.since, Instant::from_nanos(7));
    }

    #[test]
    fn who_is_silent_goes_and_a_push_stays() {
        let mut audience = audience(3);
        let seen = Instant::from_nanos(50);
        audience.find(address(1)).expect("it is there").last_seen = seen;
        audience.find(address(2)).expect("it is there").is_fixed = true;
        assert_eq!(audience.expire(Instant::from_nanos(10)), Some(seen));
        let there = [0, 1, 2].map(|n| audience.find(address(n)).is_some());
        assert_eq!(there, [false, true, true]);
    }

    #[test]
    fn who_comes_and_goes_leaves_nothing() {
        let mut audience = audience(3);
        for _ in 0..100_000 {
            assert!(audience.join(address(9), Member::new(address(9), 0, Instant::ZERO)));
            audience.leave(address(9));
        }
        assert!(audience.waiting.len() <= 2 * 4 + UDP_GONE + 1, "{}", audience.waiting.len());
        assert!(audience.waiting.capacity() <= 4 * UDP_GONE);
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut audience = Audience::default();
        let join = |audience: &mut Audience, n: usize| {
            let at: SocketAddr = ([10, 0, (n >> 8) as u8, n as u8], 1).into();
            audience.join(at, Member::new(at, 0, Instant::ZERO))
        };
        assert!((0..UDP_SUBSCRIBERS).all(|n| join(&mut audience, n)));
        assert!(!join(&mut audience, UDP_SUBSCRIBERS));
    }
}
