//! RTMP, as a client: connects, says what is wanted, and waits until that is
//! granted. What then comes and goes is the shard's.

use super::connect::{Connected, connect};
use super::{Failure, hear};
use crate::options::SocketOptions;
use crate::protocol::rtmp::{Answer, Caller, Purpose};
use crate::reactor::plan::Target;
use crate::reactor::rtmp::Rtmp;
use crate::report::DialFailure;
use crate::sys::clock::Clock;
use std::io::Write;

/// A connection on which a stream comes or may go, and its session.
pub(super) fn call(
    target: &Target,
    options: &SocketOptions,
    purpose: Purpose,
) -> Result<(Connected, Box<Rtmp>), Failure> {
    let (app, key) = target.app_and_key();
    let url = format!("rtmp://{}/{app}", target.authority());
    let mut made = connect(target, options)?;
    let Some(mut caller) = Caller::new(purpose, &url, app, key, Clock::now()) else {
        return Err(Failure::new(DialFailure::Answer, "this build has no RTMP (feature rtmp)"));
    };
    let mut heard = Vec::new();
    let mut is_granted = false;
    while !is_granted {
        say(&mut made, &mut caller)?;
        let Some(until) = caller.poll_timeout() else {
            return Err(Failure::new(DialFailure::Refused, "it ends the stream at once"));
        };
        hear(&mut made, &mut heard, until)?;
        while !heard.is_empty() && !is_granted {
            let (used, answer) = caller
                .handle_bytes(&heard, Clock::now())
                .map_err(|(_, text)| Failure::new(DialFailure::Refused, text))?;
            is_granted = answer == Some(Answer::Granted);
            let is_all = answer.is_none();
            heard.drain(..used);
            if is_all {
                break;
            }
        }
    }
    say(&mut made, &mut caller)?;
    Ok((made, Box::new(Rtmp::calling(caller, heard))))
}

/// Sends what the session has to say.
fn say(made: &mut Connected, caller: &mut Caller) -> Result<(), Failure> {
    let words = std::mem::take(caller.output());
    let until = caller.poll_timeout().unwrap_or_else(Clock::now);
    let failed = |why: std::io::Error| Failure::new(DialFailure::Answer, why.to_string());
    let left = until.since(Clock::now()).max(crate::limits::DIAL_CONNECT);
    made.stream.set_write_timeout(Some(left)).map_err(failed)?;
    made.stream.write_all(&words).map_err(failed)
}
