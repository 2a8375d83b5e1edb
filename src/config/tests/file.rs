//! The configuration file.

use super::*;
#[cfg(feature = "config")]
use crate::framing::Kind;

/// A file in a directory that goes with the value.
#[cfg(feature = "config")]
struct TempFile(PathBuf);

#[cfg(feature = "config")]
impl TempFile {
    fn new(name: &str, text: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("nearlight-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("near.toml");
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

#[cfg(feature = "config")]
impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

#[cfg(feature = "config")]
#[test]
fn a_file_has_the_flags_names_and_flags_win_over_it() {
    let file = TempFile::new(
        "wins",
        r#"
host = "0.0.0.0"
listen = [
    "http://:0?max_lag=1s",
    "tcp://:0?publish=a",  # a remark
]
push = ["udp://10.0.0.1:5?stream=a", "tcp://10.0.0.1:5?stream=a&cc=reno"]
pull = "http://cam/x?stream=b&rcvbuf=1M&y"
allow-host = ["cam.example"]
cpus = "0-1"
idle = "spin"
max_lag = "250ms"
framing = "ts"
nodelay = false
keepalive = "off"
rcvbuf = 65_536
priority = 3
"#,
    );
    let settled = plan(&format!("serve --config {}", file.path()));
    assert_eq!(settled.listeners.len(), 2);
    assert_eq!(settled.pushes[0].url, "udp://10.0.0.1:5?stream=a");
    let [pull, push] = &settled.dials[..] else { panic!("a pull and a push") };
    assert_eq!((pull.way, pull.target.path.as_str()), (Way::Pull, "/x?y"));
    assert_eq!(pull.ask.framing, Some(Kind::Ts), "as of who publishes here");
    assert_eq!((push.way, push.target.port, push.ask.framing), (Way::Push, 5, None));
    let options = |dial: &crate::reactor::plan::Dial| {
        dial.socket.asked().map(|(row, value)| format!("{}={value} ", row.name)).collect::<String>()
    };
    let common = "nodelay=off notsent_lowat=16K user_timeout=10s";
    assert_eq!(
        [options(pull), options(push)],
        [
            format!("{common} rcvbuf=1M priority=3 keepalive=off timestamp=on "),
            format!("{common} cc=reno rcvbuf=64K priority=3 keepalive=off "),
        ]
    );
    assert_eq!((settled.cpus, settled.idle), (vec![0, 1], Idle::Spin));
    assert_eq!(settled.allow_hosts, ["cam.example"]);
    let [http, tcp] = &settled.listeners[..] else {
        panic!("two listeners");
    };
    assert_eq!(http.addr.to_string(), "0.0.0.0:0");
    assert_eq!(http.ask.max_lag, Some(Duration::from_secs(1)));
    assert_eq!(tcp.ask.max_lag, Some(Duration::from_millis(250)));
    assert_eq!(tcp.ask.framing, Some(Kind::Ts));
    assert_eq!(
        asked(tcp),
        "nodelay=off notsent_lowat=16K user_timeout=10s rcvbuf=64K priority=3 keepalive=off \
         timestamp=on"
    );

    let settled = plan(&format!(
        "serve --config {} --nodelay --cpus 3 --idle block --max-lag 5ms --host 127.0.0.2 \
         --listen udp://:0?echo --allow-host other",
        file.path()
    ));
    assert_eq!((settled.cpus, settled.idle), (vec![3], Idle::Block));
    assert_eq!(settled.listeners.len(), 1, "the flags' list, not the file's");
    assert_eq!(settled.listeners[0].addr.to_string(), "127.0.0.2:0");
    assert_eq!(settled.allow_hosts, ["other"]);
    assert_eq!(settled.pushes[0].ask.max_lag, Some(Duration::from_millis(5)));

    let line = run_check(&file.0).unwrap();
    assert_eq!(line, format!("{}: OK: 2 listeners, 2 pushes, 1 pull", file.path()));
}

#[cfg(feature = "config")]
#[test]
fn what_is_wrong_in_a_file_is_told_with_its_line() {
    for (text, expected) in [
        ("\nlissten = []\n", ":2: unknown key 'lissten'; did you mean 'listen'?"),
        (
            "[server]\nhost = 'x'",
            ":1: unknown key 'server': the names are those of the flags of nearlight serve --help",
        ),
        ("cpus = '0'\n\nnodelay = 'maybe'", ":3: nodelay: 'maybe' is not on, off, 1 or 0"),
        (
            "nodelay = [true]",
            ":1: nodelay: a list stands where a string, a whole number, true or false belongs",
        ),
        (
            "max_lag = 0.5",
            ":1: max_lag: a number with a fraction stands where a string, a whole number, true or false belongs",
        ),
        (
            "listen = [\n  'http://:0',\n  5.0]",
            ":3: listen: a number with a fraction stands where a string or a list of strings belongs",
        ),
        ("rcvbuf = -1", ":1: rcvbuf: '-1' is not a size from 1 to 512M, such as 64K or 4M"),
        (
            "ttl = 0x10",
            ":1: ttl: a number that is not decimal stands where a string, a whole number, true or false belongs",
        ),
        (
            "idle = true",
            ":1: idle: 'on' is not block, spin, adaptive or adaptive:MICROSECONDS (1 to 1000000)",
        ),
        (
            "host = '*'",
            ":1: host '*': '*' is neither an address nor a name; every address of the machine is 0.0.0.0 or [::]",
        ),
        (
            "listen = [\n  'http://:0',\n\n  'tcp://:0?publsh=a',\n]",
            ":4: listen 'tcp://:0?publsh=a': unknown key 'publsh'; did you mean 'publish'?",
        ),
        (
            "push = ['udp://:0?stream=a']",
            ":1: push 'udp://:0?stream=a': where to? write udp://address:port?stream=NAME",
        ),
        ("join = 'live'\njoin = 'auto'", ":2: duplicate key"),
        ("cpus = \"0", ":1: invalid basic string, expected `\"`"),
        ("x", ":1: key with no value, expected `=`"),
    ] {
        let file = TempFile::new("wrong", text);
        let why = run_check(&file.0).expect_err(text).0;
        assert_eq!(why, format!("{}{expected}", file.path()), "{text}");
        assert_eq!(refused(&format!("serve --config {}", file.path())), why);
    }
    let why = run_check(Path::new("/nonexistent/near.toml")).unwrap_err().0;
    assert!(why.starts_with("/nonexistent/near.toml: can't be read: "), "{why}");
    let why = run_check(Path::new("/dev/zero")).unwrap_err().0;
    assert!(why.contains("larger than 1048576 bytes"), "{why}");
}

#[cfg(not(feature = "config"))]
#[test]
fn without_the_feature_a_file_is_refused() {
    let expected = "near.toml: this nearlight was built without the feature 'config' and reads \
                    no files: use flags, or build with default features";
    assert_eq!(run_check(Path::new("near.toml")).unwrap_err().0, expected);
    assert_eq!(refused("serve --config near.toml"), expected);
}

#[cfg(feature = "config")]
#[test]
fn what_this_machine_refuses_is_told_too() {
    for (text, expected) in [
        ("listen = 'tcp://:0?publish=a&cc=warp'", ": tcp://:0?publish=a&cc=warp: cc=warp: no such"),
        ("cpus = '999'", ": pin cpu 999: cpu 999 is not allowed here; allowed: "),
    ] {
        let file = TempFile::new("refused", text);
        let why = run_check(&file.0).unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
    }
}
