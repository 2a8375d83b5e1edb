//! nearlight: a live-stream server that adds microseconds.
#[cfg(not(target_os = "linux"))]
compile_error!(
    "nearlight runs on Linux alone (WSL2 is fine): it is built on epoll and Linux socket options"
);

pub mod app;
pub mod base;
pub mod client;
pub mod config;
pub mod framing;
pub mod limits;
pub mod options;
pub mod protocol;
pub mod reactor;
pub mod relay;
pub mod ring;
pub mod sys;
