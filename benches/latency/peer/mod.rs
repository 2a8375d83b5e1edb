//! Other servers that can relay what one TCP publisher sends to many TCP
//! subscribers, measured as the server is: same load, same core, same clock.
//! Each is used as its own documentation would have it for this purpose, with
//! persistence off and, where it can be told, without gathering.

pub(crate) mod dial;
pub(crate) mod start;
pub(crate) mod wire;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use wire::Wire;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// PUBLISH and SUBSCRIBE of redis-server.
    Redis,
    /// PUB and SUB of nats-server.
    Nats,
    /// HTTP PUT and GET of icecast2.
    Icecast,
    /// `tcpserversrc ! tcpserversink` of GStreamer.
    Gst,
    /// benches/peers, on one thread.
    TokioCurrent,
    /// benches/peers, on tokio's pool of workers.
    TokioMulti,
}

impl Peer {
    /// Every one.
    pub(crate) const ALL: [Self; 6] =
        [Self::Redis, Self::Nats, Self::Icecast, Self::Gst, Self::TokioCurrent, Self::TokioMulti];

    /// In a table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Nats => "nats",
            Self::Icecast => "icecast2",
            Self::Gst => "gstreamer",
            Self::TokioCurrent => "tokio, current-thread",
            Self::TokioMulti => "tokio, multi-thread",
        }
    }

    /// What there is to know when its figures are read. Found with strace.
    const fn note(self) -> &'static str {
        match self {
            Self::Redis => {
                "TCP_NODELAY set; RESP, one message a frame, CLIENT REPLY OFF on the publisher; \
                 sends once for each subscriber and turn of its loop"
            }
            Self::Nats => "TCP_NODELAY set; text protocol, one message a frame, verbose off",
            Self::Icecast => {
                "TCP_NODELAY set; gathers 1400 bytes of the source before it sends any, whatever \
                 burst-size (0 here) says: small frames wait for others, larger ones are cut"
            }
            Self::Gst => {
                "TCP_NODELAY not set and not to be had, so a small frame may wait for the \
                 acknowledgement of the last; reads and sends 4 KiB at a time"
            }
            Self::TokioCurrent | Self::TokioMulti => {
                "TCP_NODELAY set; a broadcast channel of Bytes, a task for each subscriber"
            }
        }
    }

    /// The program's name, and the argument that has it say its version.
    const fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Redis => ("redis-server", "--version"),
            Self::Nats => ("nats-server", "--version"),
            Self::Icecast => ("icecast2", "-v"),
            Self::Gst => ("gst-launch-1.0", "--version"),
            Self::TokioCurrent | Self::TokioMulti => ("tokio-relay", ""),
        }
    }

    const fn how_to_install(self) -> &'static str {
        match self {
            Self::Redis => "apt-get install redis-server",
            Self::Nats => "apt-get install nats-server",
            Self::Icecast => "apt-get install icecast2",
            Self::Gst => "apt-get install gstreamer1.0-tools gstreamer1.0-plugins-base",
            Self::TokioCurrent | Self::TokioMulti => {
                "cargo build --release --manifest-path benches/peers/Cargo.toml"
            }
        }
    }

    /// How it wraps frames.
    pub(crate) const fn wire(self) -> Wire {
        match self {
            Self::Redis => Wire::Redis,
            Self::Nats => Wire::Nats,
            Self::Icecast => Wire::Icecast,
            Self::Gst | Self::TokioCurrent | Self::TokioMulti => Wire::Bare,
        }
    }

    /// Where its program is.
    fn find(self) -> Option<PathBuf> {
        let (name, _) = self.program();
        let path = env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
        if matches!(self, Self::TokioCurrent | Self::TokioMulti) {
            // Beside the server, or where cargo puts it of itself.
            folders.extend(Path::new(env!("CARGO_BIN_EXE_nearlight")).parent().map(Path::to_owned));
            let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/target/release");
            folders.push(own);
        }
        folders.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
        folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file())
    }

    /// What the program calls itself.
    fn version(self) -> String {
        let (name, flag) = self.program();
        let said = self.find().filter(|_| !flag.is_empty()).and_then(|program| {
            let output = Command::new(program).arg(flag).output().ok()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Some(text.lines().next()?.split(" sha=").next()?.to_owned())
        });
        said.unwrap_or_else(|| format!("{name} of benches/peers"))
    }
}

/// Those that are installed.
pub(crate) fn present() -> Vec<Peer> {
    Peer::ALL.into_iter().filter(|peer| peer.find().is_some()).collect()
}

/// A line on each: what it is, or how to come by it.
pub(crate) fn notes(peers: &[Peer]) -> Vec<String> {
    let line = |peer: &Peer| {
        let name = peer.name();
        if peer.find().is_none() {
            return format!("{name}: absent; {}", peer.how_to_install());
        }
        format!("{name}: {}; {}", peer.version(), peer.note())
    };
    peers.iter().map(line).collect()
}
