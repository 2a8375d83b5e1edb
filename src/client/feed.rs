//! A reader that can't be interrupted (standard input, a pipe) behind one that
//! can: a thread reads, and whoever wants the bytes waits for a short time.

use crate::limits::{CLIENT_BYTES, CLIENT_STOP};
use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};

/// Reads that wait in the channel; the pipe itself is the real buffer.
const READS: usize = 4;

/// Bytes from another thread. [`Read::read`] answers `WouldBlock` when none
/// came for a tenth of a second, so the caller can look whether it is to stop.
///
/// Dropping it does not end a read that waits for input: the thread ends with
/// that read, or with the process.
pub struct Feed {
    reads: Receiver<io::Result<Vec<u8>>>,
    current: Vec<u8>,
    at: usize,
}

impl Feed {
    /// Starts to read `source`.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start<R: Read + Send + 'static>(source: R) -> io::Result<Self> {
        let (sender, reads) = sync_channel(READS);
        let thread = std::thread::Builder::new().name("feed".to_owned());
        thread.spawn(move || pump(source, &sender))?;
        Ok(Self { reads, current: Vec::new(), at: 0 })
    }
}

impl Read for Feed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            self.current = match self.reads.recv_timeout(CLIENT_STOP) {
                Ok(read) => read?,
                Err(RecvTimeoutError::Timeout) => return Err(ErrorKind::WouldBlock.into()),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            };
            self.at = 0;
        }
        let bytes = into.len().min(self.current.len() - self.at);
        into[..bytes].copy_from_slice(&self.current[self.at..self.at + bytes]);
        self.at += bytes;
        Ok(bytes)
    }
}

/// Reads until the end, an error, or nobody wants more.
fn pump<R: Read>(mut source: R, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut bytes = vec![0; CLIENT_BYTES];
        let read = match source.read(&mut bytes) {
            Ok(0) => return,
            Ok(length) => {
                bytes.truncate(length);
                Ok(bytes)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let over = read.is_err();
        if sender.send(read).is_err() || over {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn everything_arrives_and_silence_is_told_from_the_end() {
        let (mut writer, reader) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let mut feed = Feed::start(reader).expect("a thread");
        let mut buffer = [0; 1000];
        let nothing = feed.read(&mut buffer).expect_err("nothing was written");
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
        let sent: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
        let writing = sent.clone();
        let thread = std::thread::spawn(move || {
            writer.write_all(&writing).expect("read in the end");
        });
        let mut received = Vec::new();
        loop {
            match feed.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => received.extend_from_slice(&buffer[..length]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        thread.join().expect("written");
        assert!(received == sent);
    }
}
