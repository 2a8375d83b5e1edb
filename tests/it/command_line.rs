//! What scripts rely on: lines on stdout, exit codes, defaults.

use crate::server::{Server, address, nearlight};
use nearlight::config::{Command, parse};
use std::process::Output;

fn run(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = nearlight(args).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().expect("no signal"), text(stdout), text(stderr))
}

#[test]
fn stdout_has_the_urls_as_given_with_real_ports_in_order_then_ready_and_nothing_else() {
    let given = [
        "tcp://127.0.0.1:0?publish=a/b&nodelay=off&max-lag=250ms",
        "udp://127.0.0.1:0?echo",
        "http://[::1]:0",
        "tcp://127.0.0.1:0?subscribe=a/b&notsent_lowat=32K",
        "udp://127.0.0.1:0?subscribe=a/b&handshake=off",
    ];
    let mut server = Server::start_with(&given, &["-v", "-v"]);
    assert_eq!(server.urls.len(), 1 + given.len());
    for (url, given) in server.urls[1..].iter().zip(given) {
        let port = address(url).port();
        assert_ne!(port, 0, "{url}");
        assert_eq!(*url, given.replacen(":0", &format!(":{port}"), 1));
    }
    server.page("/healthz");
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(server.late_stdout(), [""; 0]);
}

#[test]
fn stderr_has_ready_made_lines_to_paste() {
    let server = Server::start(&["tcp://127.0.0.1:0?publish=cam"]);
    for line in [
        format!("-f mpegts 'tcp://{}?tcp_nodelay=1'", server.at(0)),
        format!("ffplay -fflags nobuffer -flags low_delay {}", server.url("http", "/live.ts")),
        format!("curl -N -o live.ts {}", server.url("http", "/live.ts")),
    ] {
        server.wait_for_log(&line);
    }
}

#[test]
fn wrong_usage_exits_2_and_says_what_where_and_what_to_do() {
    for (args, words) in [
        (&["serve", "--lisen", "http://:0"][..], &["--lisen", "'listen'"][..]),
        (&["serve", "--listen", "gopher://127.0.0.1:0"], &["gopher", "tcp://"]),
        (&["serve", "--listen", "tcp://127.0.0.1:0"], &["publish="]),
        (&["serve", "--listen", "tcp://127.0.0.1:0?publish=a&nodeley"], &["nodeley", "nodelay"]),
        (&["serve", "--listen", "tcp://127.0.0.1:0?publish=a&rcvbuf=lots"], &["rcvbuf", "lots"]),
        (&["serve", "--listen", "tcp://127.0.0.1:0?publish=../a"], &["..", "publish"]),
        (&["serve", "--listen", "tcp://127.0.0.1:0?subscribe=a&defer_accept=1"], &["defer"]),
        (&["serve", "--listen", "tcp://127.0.0.1:0?publish=a&cc=warp"], &["cc=warp"]),
        (&["serve", "--max-lag", "soon"], &["max_lag", "soon"]),
        (&["serve", "--cpus", "1000000"], &["1000000", "--cpus"]),
        (&["serve", "--push", "udp://127.0.0.1:9"], &["stream="]),
        (&["serve", "--config", "/nowhere/at.toml"], &["/nowhere/at.toml"]),
        (&["sevre"], &["sevre", "serve"]),
    ] {
        let (code, stdout, stderr) = run(args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
        let said = stderr.replace('-', "_");
        for word in words {
            assert!(said.contains(&word.replace('-', "_")), "no '{word}' for {args:?}: {stderr}");
        }
    }
}

#[test]
fn a_cpu_that_is_not_allowed_is_an_error_that_names_the_allowed_ones() {
    let (code, stdout, stderr) = run(&["serve", "--listen", "http://127.0.0.1:0", "--cpus", "999"]);
    assert_ne!(code, 0);
    assert_eq!(stdout, "");
    assert!(stderr.contains("cpu 999 is not allowed here; allowed: 0"), "{stderr}");
}

#[test]
fn an_address_in_use_exits_1_and_is_named() {
    let server = Server::start(&[]);
    let taken = server.http().to_string();
    let (code, stdout, stderr) = run(&["serve", "--listen", &server.urls[0]]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains(&taken) && stderr.contains("in use"), "{stderr}");
}

#[test]
fn without_listen_it_serves_on_loopback_where_the_manual_says() {
    let listeners = |args: &[&str]| -> Vec<(String, String)> {
        let Ok(Command::Serve(serve)) = parse(args.iter().map(Into::into)) else {
            panic!("{args:?}");
        };
        let of = |listen: nearlight::reactor::plan::Listen| {
            let (scheme, _) = listen.url.split_once("://").expect("a URL");
            let service = listen.url.split_once('?').map_or("", |(_, query)| query);
            (format!("{scheme} {}", listen.addr), service.to_owned())
        };
        serve.plan.listeners.into_iter().map(of).collect()
    };
    let on = |host: &str, echo: &str| {
        let rows = [
            (format!("http {host}:8080"), ""),
            (format!("tcp {host}:9000"), "publish=live"),
            (format!("tcp {host}:9001"), "subscribe=live"),
            (format!("udp {host}:9000"), "publish=live"),
            (format!("tcp {echo}:7007"), "echo"),
            (format!("udp {echo}:7007"), "echo"),
            (format!("rtmp {host}:1935"), ""),
        ];
        rows.map(|(at, service)| (at, service.to_owned()))
    };
    assert_eq!(listeners(&["serve"]), on("127.0.0.1", "127.0.0.1"));
    assert_eq!(listeners(&["serve", "--host", "192.0.2.1"]), on("192.0.2.1", "127.0.0.1"));
    let one = listeners(&["serve", "--listen", "http://127.0.0.1:0"]);
    assert_eq!(one, [("http 127.0.0.1:0".to_owned(), String::new())]);
}

#[test]
fn options_lists_every_socket_option_for_people_and_programs() {
    let (code, table, _) = run(&["options"]);
    let (json_code, json, _) = run(&["options", "--json"]);
    assert_eq!((code, json_code), (0, 0));
    for (name, constant) in [
        ("nodelay", "TCP_NODELAY"),
        ("notsent_lowat", "TCP_NOTSENT_LOWAT"),
        ("busy_poll", "SO_BUSY_POLL"),
        ("incoming_cpu", "SO_INCOMING_CPU"),
        ("user_timeout", "TCP_USER_TIMEOUT"),
    ] {
        assert!(table.contains(name) && table.contains(constant), "{name}: {table}");
        assert!(json.contains(name) && json.contains(constant), "{name}: {json}");
    }
    assert!(json.trim_start().starts_with(['[', '{']), "{json}");
}

#[cfg(feature = "config")]
#[test]
fn check_says_what_is_wrong_with_file_and_line() {
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).expect("a scratch directory");
        path.to_str().expect("text").to_owned()
    };
    let good = file("good.toml", "listen = [\"http://127.0.0.1:0\"]\nmax-lag = \"200ms\"\n");
    let (code, stdout, stderr) = run(&["check", "--config", &good]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("OK"), "{stdout}");
    let bad = file("bad.toml", "listen = [\"http://127.0.0.1:0\"]\n\nmax-lagg = \"200ms\"\n");
    let (code, _, stderr) = run(&["check", "--config", &bad]);
    assert_eq!(code, 2);
    assert!(stderr.contains(&format!("{bad}:3")) && stderr.contains("max-lagg"), "{stderr}");
}
