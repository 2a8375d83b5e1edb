//! Flags and commands, the defaults, and who wins over whom.

use super::*;

#[test]
fn without_listeners_the_defaults_listen_on_loopback() {
    let plan = plan("serve");
    let urls: Vec<&str> = plan.listeners.iter().map(|l| l.url.as_str()).collect();
    assert_eq!(
        urls,
        [
            "http://127.0.0.1:8080",
            "tcp://127.0.0.1:9000?publish=live",
            "tcp://127.0.0.1:9001?subscribe=live",
            "udp://127.0.0.1:9000?publish=live",
            "tcp://127.0.0.1:7007?echo",
            "udp://127.0.0.1:7007?echo",
            #[cfg(feature = "rtmp")]
            "rtmp://127.0.0.1:1935",
        ]
    );
    for listen in &plan.listeners {
        assert!(listen.addr.ip().is_loopback());
        let udp = matches!(listen.service, Service::UdpPublish { .. } | Service::UdpEcho);
        let transport = if udp { Transport::Udp } else { Transport::Tcp };
        let publishes = listen.service.publishes();
        assert_eq!(listen.socket, SocketOptions::defaults(transport, publishes));
        assert_eq!(listen.ask, Ask::default());
    }
    assert!(plan.pushes.is_empty() && plan.cpus.is_empty() && plan.allow_hosts.is_empty());
    assert_eq!(plan.idle, Idle::Block);
}

#[test]
fn host_moves_all_defaults_but_echo() {
    for (host, shown) in [("0.0.0.0", "0.0.0.0"), ("[::]", "[::]")] {
        let plan = plan(&format!("serve --host {host}"));
        let addrs: Vec<String> = plan.listeners.iter().map(|l| l.addr.to_string()).collect();
        assert_eq!(
            addrs,
            [
                format!("{shown}:8080"),
                format!("{shown}:9000"),
                format!("{shown}:9001"),
                format!("{shown}:9000"),
                "127.0.0.1:7007".to_owned(),
                "127.0.0.1:7007".to_owned(),
                #[cfg(feature = "rtmp")]
                format!("{shown}:1935"),
            ]
        );
    }
    // And it stands in for addresses left out, in these alone.
    let plan = plan("serve --host 10.1.2.3 --listen http://:0 --listen http://localhost:0");
    assert_eq!(plan.listeners[0].addr.to_string(), "10.1.2.3:0");
    assert_eq!(plan.listeners[0].url, "http://:0");
    assert_eq!(plan.listeners[1].addr.to_string(), "127.0.0.1:0");
}

#[test]
fn a_reflector_stays_on_the_machine_unless_an_address_is_named() {
    let at = |line: &str| plan(line).listeners.remove(0);
    let own = at("serve --listen udp://:862?stamp");
    assert_eq!(own.addr.to_string(), "127.0.0.1:862");
    // Its times are the kernel's.
    assert_eq!(own.socket, SocketOptions::defaults(Transport::Udp, true));
    assert!(own.socket.is_stamped());
    assert!(!at("serve --listen udp://:862?stamp&timestamp=off").socket.is_stamped());
    let asked = at("serve --listen udp://0.0.0.0:862?stamp");
    assert_eq!(asked.addr.to_string(), "0.0.0.0:862");
    let host = at("serve --host 10.1.2.3 --listen udp://:862?stamp --max-lag 2s");
    assert_eq!((host.addr.to_string().as_str(), host.ask), ("10.1.2.3:862", Ask::default()));
}

#[test]
fn flags_take_their_values_in_every_way() {
    for args in [
        "serve --nodelay off --listen http://:0",
        "serve --nodelay=off --listen http://:0",
        "serve --nodelay=0 --listen=http://:0",
    ] {
        assert!(asked(&plan(args).listeners[0]).starts_with("nodelay=off"), "{args}");
    }
    let plan =
        plan("serve --quickack --keepalive --notsent_lowat 32K --listen http://:0 --nodelay");
    assert_eq!(
        asked(&plan.listeners[0]),
        "nodelay=on quickack=on notsent_lowat=32K user_timeout=10s keepalive=10s timestamp=on"
    );
}

#[test]
fn every_socket_option_is_a_flag() {
    for row in &TABLE {
        let text = if row.sample.is_empty() { row.default_tcp } else { row.sample };
        let flag = row.name.replace('_', "-");
        let plan = plan(&format!("serve --listen http://:0 --{flag} {text}"));
        let (_, got) = plan.listeners[0]
            .socket
            .asked()
            .find(|(asked, _)| asked.name == row.name)
            .expect(row.name);
        let expected = if row.name == "dscp" { "46" } else { text };
        assert_eq!(got, expected, "{flag}");
    }
}

#[test]
fn urls_win_over_flags_and_flags_go_only_where_they_mean_something() {
    let plan = plan(
        "serve --listen tcp://:0?publish=a&nodelay=off&max_lag=1s --listen tcp://:0?subscribe=a \
         --listen udp://:0?publish=b --listen tcp://:0?echo --nodelay on --max-lag 2s \
         --policy close --window 3s --rcvbuf 1M --user-timeout 5s",
    );
    let [publish, subscribe, udp, echo] = &plan.listeners[..] else {
        panic!("four listeners");
    };
    assert_eq!(
        asked(publish),
        "nodelay=off notsent_lowat=16K user_timeout=5s rcvbuf=1M keepalive=10s timestamp=on"
    );
    assert_eq!(asked(udp), "rcvbuf=1M timestamp=on");
    assert_eq!(publish.ask.max_lag, Some(Duration::from_secs(1)));
    assert_eq!(publish.ask.policy, Some(Policy::Close));
    assert_eq!(publish.ask.window, Some(Duration::from_secs(3)));
    assert_eq!(subscribe.ask.max_lag, Some(Duration::from_secs(2)));
    assert_eq!((subscribe.ask.policy, subscribe.ask.window), (Some(Policy::Close), None));
    assert_eq!(
        (udp.ask.policy, udp.ask.window),
        (Some(Policy::Close), Some(Duration::from_secs(3)))
    );
    assert_eq!(echo.ask, Ask::default());
}

#[test]
fn defer_accept_for_all_listeners_stops_at_subscribers() {
    assert!(
        refused("serve --defer-accept 5s --listen tcp://:0?subscribe=a")
            .starts_with("--listen 'tcp://:0?subscribe=a': defer_accept=5s: a subscriber never")
    );
    plan("serve --defer-accept 5s --listen tcp://:0?subscribe=a&defer_accept=off");
    plan("serve --defer-accept 5s --listen tcp://:0?publish=a");
}

#[test]
fn two_listeners_in_one_place_are_refused() {
    assert_eq!(
        refused("serve --listen http://:9 --listen tcp://127.0.0.1:9?echo"),
        "--listen 'tcp://127.0.0.1:9?echo': 'http://:9' listens there already"
    );
    plan("serve --listen http://:9 --listen udp://:9?echo --listen http://:0 --listen http://:0");
    plan(
        "serve --listen udp://:9?publish=a&group=239.1.1.1 \
         --listen udp://:9?publish=b&group=239.1.1.2",
    );
}

#[test]
fn cpus_idle_and_hosts_are_read() {
    assert_eq!(plan("serve --cpus 2,3").cpus, [2, 3]);
    assert_eq!(plan("serve --cpus 0-2,5").cpus, [0, 1, 2, 5]);
    assert_eq!(
        plan("serve --allow-host Cam.Example --allow-host [::1]").allow_hosts,
        ["cam.example", "[::1]"]
    );
    for (text, expected) in [
        ("block", Idle::Block),
        ("spin", Idle::Spin),
        ("adaptive", Idle::Adaptive(Duration::from_micros(50))),
        ("adaptive:200", Idle::Adaptive(Duration::from_micros(200))),
        ("adaptive:2ms", Idle::Adaptive(Duration::from_millis(2))),
    ] {
        assert_eq!(plan(&format!("serve --idle {text}")).idle, expected);
    }
    for text in ["", "x", "1-", "-1", "3-1", "1,1", "0-2,1", "1024", "+1", "1,,2"] {
        assert_eq!(
            refused(&format!("serve --cpus={text}")),
            format!(
                "--cpus: '{text}' is not a list of CPU numbers: write 2,3 or 0-3, each CPU once"
            )
        );
    }
    for text in ["", "sleep", "adaptive:", "adaptive:0", "adaptive:2s", "adaptive:-1"] {
        assert_eq!(
            refused(&format!("serve --idle={text}")),
            format!(
                "--idle: '{text}' is not block, spin, adaptive or adaptive:MICROSECONDS (1 to 1000000)"
            )
        );
    }
    assert!(refused("serve --allow-host http://x").starts_with("--allow-host: 'http://x' is not"));
    assert_eq!(
        refused("serve --host 1.2.3"),
        "--host '1.2.3': '1.2.3' is neither an address nor a name"
    );
}

#[test]
fn commands_and_levels() {
    assert!(matches!(run("options"), Ok(Command::Options(Format::Table))));
    assert!(matches!(run("options --json"), Ok(Command::Options(Format::Json))));
    assert!(matches!(run("options --markdown"), Ok(Command::Options(Format::Markdown))));
    assert!(matches!(run("--version"), Ok(Command::Version)));
    assert!(matches!(run("-V"), Ok(Command::Version)));
    for (args, level) in [
        ("serve", LevelFilter::Info),
        ("serve -v", LevelFilter::Debug),
        ("serve -vv", LevelFilter::Trace),
        ("serve --verbose --verbose -v", LevelFilter::Trace),
        ("serve -q", LevelFilter::Warn),
        ("serve --quiet -q", LevelFilter::Error),
    ] {
        match run(args) {
            Ok(Command::Serve(serve)) => assert_eq!(serve.level, level, "{args}"),
            other => panic!("{other:?}"),
        }
    }
    match run("demo --seconds 5 --cpus 1 --idle spin --max-lag 100ms --join live --nodelay off") {
        Ok(Command::Demo(demo)) => {
            assert_eq!((demo.seconds, demo.cpus), (Some(5), vec![1]));
            assert_eq!((demo.idle, demo.ask.join), (Idle::Spin, Some(Join::Live)));
            assert_eq!(demo.socket, socket("nodelay=off"));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(run("demo"), Ok(Command::Demo(Demo { seconds: None, .. }))));
    match run("check --config near.toml") {
        Ok(Command::Check { file }) => assert_eq!(file, Path::new("near.toml")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn help_is_where_people_look_and_names_everything() {
    let help = |args: &str| match run(args) {
        Ok(Command::Help(text)) => text,
        other => panic!("{args}: {other:?}"),
    };
    for args in ["--help", "-h", "help"] {
        assert!(help(args).contains("nearlight serve"));
    }
    assert_eq!(help("serve --help"), help("help serve"));
    assert_eq!(help("serve --cpus 1 -h"), help("help serve"));
    assert_eq!(help("demo --help"), help("help demo"));
    assert_eq!(help("options --help"), help("help options"));
    assert_eq!(help("check --help"), help("help check"));
    let serve = help("serve --help");
    for key in settings::known_keys() {
        assert!(serve.contains(&format!("--{}", key.replace('_', "-"))), "{key}");
    }
    for args in ["--help", "serve --help", "demo --help", "options --help", "check --help"] {
        for line in help(args).lines() {
            assert!(line.chars().count() <= 110, "{line}");
        }
    }
}

/// Command lines that must be refused, and in which words.
const WRONG_COMMAND_LINES: &[(&str, &str)] = &[
    (
        "",
        "no command: nearlight serve starts a server, nearlight demo shows one at work, nearlight --help lists the rest",
    ),
    ("srve", "unknown command 'srve'; did you mean 'serve'?: nearlight --help lists them"),
    ("--cpus 1", "--cpus: the command comes first, such as nearlight serve --cpus"),
    ("-v serve", "-v: the command comes first, such as nearlight serve -v"),
    ("serve --lsiten http://:1", "unknown flag --lsiten; did you mean 'listen'?"),
    (
        "serve --listen tcp://:1?echo --incoming-cpu own",
        "--listen 'tcp://:1?echo': incoming_cpu=own: shards have no cores of their own: say which with --cpus",
    ),
    ("demo --second 3", "unknown flag --second; did you mean 'seconds'?"),
    ("serve --colour red", "unknown flag --colour: nearlight serve --help lists them"),
    (
        "serve extra",
        "nearlight serve does not take 'extra': nearlight serve --help says what it takes",
    ),
    ("serve -x", "nearlight serve does not take -x: nearlight serve --help says what it takes"),
    ("serve --cpus", "missing argument for option '--cpus'"),
    ("serve --nodelay maybe", "--nodelay: 'maybe' is not on, off, 1 or 0"),
    (
        "serve --max-lag 5",
        "--max-lag: '5' is not a duration: write a number and ns, us, ms, s, m or h, such as 20us, 5ms or 2s",
    ),
    ("serve --join soon", "--join: 'soon' is none of auto, last-key, next-key, live"),
    ("demo --seconds soon", "--seconds: 'soon' is not a number of seconds; 0 runs until Ctrl-C"),
    (
        "demo --listen http://:1",
        "--listen: the demo runs on loopback ports of its own; nearlight serve takes this flag",
    ),
    (
        "options --yaml",
        "nearlight options does not take --yaml: nearlight options --help says what it takes",
    ),
    ("check", "which file? nearlight check --config FILE"),
    (
        "check near.toml",
        "nearlight check does not take 'near.toml': nearlight check --help says what it takes",
    ),
    ("serve --no_delay", "unknown flag --no_delay; did you mean 'nodelay'?"),
];

#[test]
fn wrong_command_lines_say_what_to_do() {
    for (args, expected) in WRONG_COMMAND_LINES {
        assert_eq!(refused(args), *expected, "{args}");
    }
    let odd = std::os::unix::ffi::OsStringExt::from_vec(b"\xff".to_vec());
    let args = [OsString::from("serve"), OsString::from("--host"), odd];
    assert!(parse(args.into_iter()).unwrap_err().0.ends_with("is not UTF-8"));
}
