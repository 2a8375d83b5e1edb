//! End to end: the real binary on port 0, real sockets on loopback. Each test
//! starts a server of its own, and its name is a promise of the design.
//!
//! ```text
//! server    the child process: its lines, its pages, its memory and CPU
//! wire      sockets that wait for a condition until a deadline, never a sleep
//! film      a TS stream made in memory, and checkers that a decoder would like
//! tags      an FLV of which every byte is known
//! peer      an RTMP client of which everything is kept
//! witness   a live stream whose subscriber must notice nothing of a test
//! ```

mod coalesce;
mod command_line;
mod derive;
mod dial;
#[cfg(feature = "rtmp")]
mod dial_rtmp;
mod film;
mod flv;
mod framings;
mod hostile;
mod hostile_http;
#[cfg(feature = "rtmp")]
mod hostile_rtmp;
mod lag;
mod limits;
mod metrics;
#[cfg(feature = "page")]
mod page;
#[cfg(feature = "rtmp")]
mod peer;
mod publish;
mod remux;
mod residence;
#[cfg(feature = "rtmp")]
mod rtmp;
#[cfg(feature = "rtmp")]
mod rtmp_faults;
#[cfg(feature = "rtmp")]
mod rtmp_out;
mod server;
mod shutdown;
mod stamp;
mod subscribe;
mod tags;
mod turnover;
mod turns;
mod udp;
mod wire;
mod witness;
