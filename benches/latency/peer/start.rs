//! Starting another server: on a core, at a free port, with a folder of its
//! own that goes when it goes.

use super::Peer;
use crate::child::Process;
use nearlight::sys::affinity;
use std::error::Error;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, io, thread};

/// Whom icecast2, which refuses to be root, runs as then: nobody, who is this
/// one everywhere.
const NOBODY: u32 = 65534;

/// A server that was started; it may not listen yet.
pub(crate) struct Started {
    /// It.
    pub(crate) process: Process,
    /// Where publishers go.
    pub(crate) publish: SocketAddr,
    /// Where subscribers go.
    pub(crate) subscribe: SocketAddr,
    folder: Folder,
}

impl Started {
    /// What it last said, for an error.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(self.folder.log()).unwrap_or_default();
        text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("").to_owned()
    }
}

/// Starts a peer on `cpu`.
///
/// # Errors
/// It isn't installed, or the kernel's.
pub(crate) fn start(peer: Peer, cpu: usize) -> Result<Started, Box<dyn Error>> {
    let program = peer.find().ok_or_else(|| peer.how_to_install().to_owned())?;
    let folder = Folder::new()?;
    let (publish, subscribe) = free_addrs()?;
    let (ours, theirs) = (publish.port().to_string(), subscribe.port().to_string());
    let mut command = Command::new(program);
    let one_port = match peer {
        Peer::Redis => {
            command.args(["--bind", "127.0.0.1", "--port", &ours, "--save", ""]);
            command.args(["--appendonly", "no", "--dir"]).arg(&folder.path);
            true
        }
        Peer::Nats => {
            command.args(["-a", "127.0.0.1", "-p", &ours]);
            true
        }
        Peer::Icecast => {
            let file = folder.path.join("icecast.xml");
            fs::write(&file, icecast_config(&folder.path, publish.port()))?;
            command.arg("-c").arg(file);
            if rooted(&folder.path)? {
                command.uid(NOBODY).gid(NOBODY);
            }
            true
        }
        Peer::Gst => {
            let (ours, theirs) = (format!("port={ours}"), format!("port={theirs}"));
            command.args(["-q", "tcpserversrc", "host=127.0.0.1", &ours, "!"]);
            command.args(["tcpserversink", "host=127.0.0.1", &theirs, "sync=false"]);
            false
        }
        Peer::TokioCurrent | Peer::TokioMulti => {
            command.arg(if peer == Peer::TokioMulti { "multi" } else { "current" });
            command.args([publish.to_string(), subscribe.to_string()]);
            false
        }
    };
    let log = File::create(folder.log())?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let process = Process::of(spawn_on(cpu, &mut command)?);
    let subscribe = if one_port { publish } else { subscribe };
    Ok(Started { process, publish, subscribe, folder })
}

/// Starts a program pinned to `cpu`, as a child is to what the thread is that
/// starts it.
fn spawn_on(cpu: usize, command: &mut Command) -> io::Result<Child> {
    thread::scope(|scope| {
        let starter = scope.spawn(|| {
            affinity::pin_to(cpu).map_err(io::Error::other)?;
            command.spawn()
        });
        starter.join().unwrap_or_else(|_| Err(io::Error::other("the starter panicked")))
    })
}

/// Two addresses that nobody has now. Others could take them before the peer
/// does; in a network of our own there are none.
fn free_addrs() -> io::Result<(SocketAddr, SocketAddr)> {
    let one = TcpListener::bind(("127.0.0.1", 0))?;
    let other = TcpListener::bind(("127.0.0.1", 0))?;
    Ok((one.local_addr()?, other.local_addr()?))
}

/// Whether we are root; then nobody gets to write in `folder`.
fn rooted(folder: &Path) -> io::Result<bool> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or("");
    let is_root = line.split_whitespace().nth(1) == Some("0");
    if is_root {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777))?;
    }
    Ok(is_root)
}

/// No burst for a new listener, no limit that a run would meet.
fn icecast_config(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "<icecast>\
         <limits><clients>2000</clients><sources>4</sources><queue-size>16777216</queue-size>\
         <burst-on-connect>0</burst-on-connect><burst-size>0</burst-size></limits>\
         <authentication><source-password>bench</source-password></authentication>\
         <hostname>localhost</hostname>\
         <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>\
         <paths><basedir>{folder}</basedir><logdir>{folder}</logdir><webroot>{folder}</webroot>\
         <adminroot>{folder}</adminroot></paths>\
         <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog>\
         <loglevel>2</loglevel></logging>\
         <security><chroot>0</chroot></security>\
         </icecast>\n"
    )
}

/// A folder that is removed when this is dropped.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nearlight-bench-{}-{number}", process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self { path })
    }

    fn log(&self) -> PathBuf {
        self.path.join("log")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed is in the folder for what may be.
        let _left = fs::remove_dir_all(&self.path);
    }
}
