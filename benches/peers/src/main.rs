//! A relay on tokio: what one TCP connection sends, every other gets, through
//! a `broadcast` channel of `Bytes`. Written as its user would write it who
//! knows the library and has an afternoon: no copy for a subscriber, no delay
//! by Nagle, and a subscriber that falls too far behind misses something
//! instead of holding the others up.
//!
//! `tokio-relay current|multi PUBLISH_ADDRESS SUBSCRIBE_ADDRESS`

use bytes::{Bytes, BytesMut};
use std::env;
use std::io::{self, ErrorKind};
use std::process::ExitCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::broadcast::{self, Receiver, Sender, error::RecvError};

/// Pieces that a slow subscriber may be behind.
const CAPACITY: usize = 1024;
/// What one receive may bring.
const READ: usize = 64 * 1024;
/// What is allocated at once, for many receives.
const BLOCK: usize = 4 * READ;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let [flavour, publish, subscribe] = &args[..] else {
        eprintln!("usage: tokio-relay current|multi PUBLISH_ADDRESS SUBSCRIBE_ADDRESS");
        return ExitCode::from(2);
    };
    // As many workers as the process may use cores, which is tokio's own rule.
    let builder = match flavour.as_str() {
        "multi" => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    match run(builder, publish, subscribe) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("tokio-relay: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut builder: Builder, publish: &str, subscribe: &str) -> io::Result<()> {
    let runtime = builder.enable_io().build()?;
    runtime.block_on(async {
        let publish = TcpListener::bind(publish).await?;
        let subscribe = TcpListener::bind(subscribe).await?;
        let (sender, _) = broadcast::channel(CAPACITY);
        let publishers = sender.clone();
        // Both in tasks: what `block_on` itself runs has no worker of its own.
        let first = tokio::spawn(async move { accept_publishers(publish, publishers).await });
        let second = tokio::spawn(async move { accept_subscribers(subscribe, sender).await });
        first.await??;
        second.await?
    })
}

async fn accept_publishers(listener: TcpListener, sender: Sender<Bytes>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            if let Err(why) = publish(stream, &sender).await {
                eprintln!("publisher: {why}");
            }
        });
    }
}

/// One receive, one message.
async fn publish(mut stream: TcpStream, sender: &Sender<Bytes>) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        if buffer.capacity() < READ {
            buffer.reserve(BLOCK);
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        // An error says that nobody listens.
        let _nobody = sender.send(buffer.split().freeze());
    }
}

async fn accept_subscribers(listener: TcpListener, sender: Sender<Bytes>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let receiver = sender.subscribe();
        tokio::spawn(async move {
            match subscribe(stream, receiver).await {
                Err(why) if why.kind() != ErrorKind::BrokenPipe => eprintln!("subscriber: {why}"),
                _ => {}
            }
        });
    }
}

async fn subscribe(mut stream: TcpStream, mut receiver: Receiver<Bytes>) -> io::Result<()> {
    loop {
        match receiver.recv().await {
            Ok(bytes) => stream.write_all(&bytes).await?,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}
