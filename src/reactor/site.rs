//! What the shard knows of its listeners when a session asks.

use super::office::Office;
use super::plan::{Dial, Listen, Service};
use crate::protocol::Name;
use crate::protocol::http::Rules;
use crate::relay::Settings;
use std::net::{Ipv4Addr, SocketAddr};

/// One listener, as sessions see it.
#[derive(Clone, Debug)]
pub struct Site {
    /// The URL as given.
    pub url: String,
    /// Where it really listens.
    pub addr: SocketAddr,
    /// What it does.
    pub service: Service,
    /// Its stream keys.
    pub settings: Settings,
    /// `quickack`: to be set again after each receive.
    pub quickack: bool,
    /// `timestamp`: the kernel says when it had what is received.
    pub is_stamped: bool,
}

impl Site {
    /// A listener that is about to be bound.
    pub fn of(listen: &Listen) -> Self {
        Self {
            url: listen.url.clone(),
            addr: listen.addr,
            service: listen.service.clone(),
            settings: Settings::of(&listen.ask),
            quickack: listen.socket.quickack(),
            is_stamped: listen.socket.is_stamped(),
        }
    }

    /// What metrics call it: no two listeners have the same.
    pub fn label(&self) -> String {
        format!("{}://{}", self.service.over().label(), self.addr)
    }

    /// What connections that we make to one target have in common.
    pub fn dialed(dial: &Dial) -> Self {
        Self {
            url: dial.url.clone(),
            // Nothing listens.
            addr: (Ipv4Addr::UNSPECIFIED, 0).into(),
            service: Service::Dial(dial.target.via.over()),
            settings: Settings::of(&dial.ask),
            quickack: dial.socket.quickack(),
            is_stamped: dial.socket.is_stamped(),
        }
    }
}

/// Every listener, and the rules that HTTP requests are held to.
#[derive(Debug)]
pub struct Sites {
    /// By the number that connections carry.
    pub list: Vec<Site>,
    /// Which `Host` and `Origin` are ours.
    pub rules: Rules,
    /// Who makes pages; nobody: the shard itself.
    pub office: Option<Office>,
}

impl Sites {
    /// The streams that listeners of their own send.
    pub fn sent(&self) -> impl Iterator<Item = &Name> {
        self.list.iter().filter_map(|site| match &site.service {
            Service::TcpSubscribe { name } | Service::UdpSubscribe { name, .. } => Some(name),
            Service::TcpPublish { .. }
            | Service::UdpPublish { .. }
            | Service::TcpEcho
            | Service::UdpEcho
            | Service::UdpStamp
            | Service::Http
            | Service::Rtmp
            | Service::Dial(_) => None,
        })
    }
}
