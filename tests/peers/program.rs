//! Other people's programs: whether they are there, how they are started, and
//! how they are sure to end. Command lines are run by `sh`, so that they stand
//! here as a user would type them.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// What a check or a step of it comes to; the text says what went wrong.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// Each peer, and a command that succeeds if all that the checks need of it is
/// there.
pub(crate) const PEERS: &[(&str, &str)] = &[
    ("ffmpeg", "command -v ffmpeg && command -v ffprobe"),
    ("curl", "command -v curl"),
    ("socat", "command -v socat"),
    ("nc", "nc -h 2>&1 | grep OpenBSD"),
    (
        "gst",
        "command -v gst-launch-1.0 && for element in tcpclientsink tcpclientsrc \
         souphttpclientsink souphttpsrc udpsink udpsrc mpegtsmux tsdemux rtmp2sink rtmp2src \
         flvmux flvdemux aacparse avenc_aac x264enc avdec_h264; \
         do gst-inspect-1.0 --exists $element || exit 1; done",
    ),
    ("ping", "command -v ping"),
    ("vlc", "command -v cvlc && { test $(id -u) != 0 || command -v setpriv; }"),
    ("chromium", "command -v chromium && command -v node"),
    ("prometheus", "command -v prometheus && command -v promtool"),
    ("obs", "command -v obs && command -v Xvfb && command -v dbus-run-session"),
    ("stamp-suite", "command -v stamp-suite"),
];

/// Those that no run installs: no system has a package of the first, which takes
/// minutes to compile, and the second brings half a desktop. Where one is absent
/// its checks are skipped, though `CI` is set.
pub(crate) const UNINSTALLED: &[&str] = &["stamp-suite", "obs"];

/// Whether a peer's probe succeeds.
pub(crate) fn is_there(probe: &str) -> bool {
    Command::new("sh")
        .args(["-c", probe])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Another process's state can only be asked for: asks every 10 ms until there
/// is an answer, at most as often as fits in `limit`.
pub(crate) fn until<T>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> Option<T>,
) -> Outcome<T> {
    const TICK: Duration = Duration::from_millis(10);
    for _ in 0..limit.as_millis() / TICK.as_millis() {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        thread::park_timeout(TICK);
    }
    Err(format!("{what}: not within {limit:?}"))
}

/// The folder that one check works in.
pub(crate) struct Stage {
    folder: PathBuf,
}

impl Stage {
    /// An empty folder for the check called `name`.
    pub(crate) fn new(parent: &Path, name: &str) -> io::Result<Self> {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let folder = parent.join(name.chars().map(plain).collect::<String>());
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// A folder in it, for a second one of what is there once.
    pub(crate) fn inner(&self, name: &str) -> Outcome<Self> {
        Self::new(&self.folder, name).map_err(|why| format!("{name}: {why}"))
    }

    /// Where the file called `name` is or will be.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The bytes of the file called `name`.
    pub(crate) fn read(&self, name: &str) -> Outcome<Vec<u8>> {
        fs::read(self.path(name)).map_err(|why| format!("{name}: {why}"))
    }

    /// Keeps `bytes` as the file called `name`, to be looked at.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Outcome {
        fs::write(self.path(name), bytes).map_err(|why| format!("{name}: {why}"))
    }

    /// Runs a command line in the folder until it ends, and gives its standard
    /// output. Anything but exit status 0 is an error.
    pub(crate) fn output(&self, name: &str, line: &str, limit: Duration) -> Outcome<String> {
        let mut program = Program::start(self, name, line)?;
        program.succeed(limit)?;
        Ok(String::from_utf8_lossy(&self.read(&format!("{name}.out"))?).into_owned())
    }
}

/// A process and all it started; they are gone when this is dropped.
pub(crate) struct Program {
    child: Child,
    name: String,
    errors: PathBuf,
}

impl Program {
    /// Starts a command line in the stage's folder, with standard output and
    /// error going to `NAME.out` and `NAME.err` there.
    pub(crate) fn start(stage: &Stage, name: &str, line: &str) -> Outcome<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        let out = File::create(stage.path(&format!("{name}.out")));
        command.stdout(out.map_err(|why| format!("{name}.out: {why}"))?);
        stage.write(&format!("{name}.sh"), line.as_bytes())?;
        Self::spawn(stage, name, command)
    }

    /// Starts `command`, whose standard output the caller has seen to.
    pub(crate) fn spawn(stage: &Stage, name: &str, mut command: Command) -> Outcome<Self> {
        let errors = stage.path(&format!("{name}.err"));
        let child = File::create(&errors)
            .and_then(|file| {
                command
                    .current_dir(&stage.folder)
                    .stdin(Stdio::null())
                    .stderr(file)
                    .process_group(0)
                    .spawn()
            })
            .map_err(|why| format!("{name}: {why}"))?;
        Ok(Self { child, name: name.to_owned(), errors })
    }

    /// The process itself.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self, limit: Duration) -> Outcome<ExitStatus> {
        let ended = until("the end", limit, || self.child.try_wait().transpose());
        match ended {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(why)) => Err(format!("{}: {why}", self.name)),
            Err(late) => Err(format!("{}: {late}; {}", self.name, self.last_words())),
        }
    }

    /// Waits for the end and wants exit status 0.
    pub(crate) fn succeed(&mut self, limit: Duration) -> Outcome {
        let status = self.wait(limit)?;
        if status.success() {
            return Ok(());
        }
        Err(format!("{}: {status}; {}", self.name, self.last_words()))
    }

    /// Sends a signal, such as `TERM`, to the process and all it started.
    pub(crate) fn signal(&self, signal: &str) {
        let line = format!("kill -s {signal} -- -{}", self.child.id());
        // It may have ended in the meantime; then there is nobody to signal.
        is_there(&line);
    }

    /// The end of what it wrote on standard error.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(&self.errors).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(12);
        format!("it said: {}", lines[from..].join("\n    "))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Once waited for, the number may be another process's.
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.signal("KILL");
            // Its own process once more, should there be no `kill` program;
            // killed just now, it ends at once.
            let _killed = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}
