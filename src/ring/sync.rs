//! Where threads meet: std's types, or in models those of loom, which tries
//! every order that the memory model allows (`cargo test` with `--cfg loom`,
//! see `tests/run`).

#[cfg(all(loom, test))]
pub(super) use modelled::{
    Arc, AtomicBool, AtomicU32, AtomicU64, Ordering, Receiver, SyncSender, TryRecvError, Watch,
    sync_channel,
};
#[cfg(not(all(loom, test)))]
pub(super) use real::{
    Arc, AtomicBool, AtomicU32, AtomicU64, Ordering, Receiver, SyncSender, TryRecvError, Watch,
    sync_channel,
};

#[cfg(not(all(loom, test)))]
mod real {
    pub(in crate::ring) use std::sync::Arc;
    pub(in crate::ring) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
    pub(in crate::ring) use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

    /// Tells a model which memory is read and written; here it is nothing.
    pub(in crate::ring) struct Watch;

    impl Watch {
        pub(in crate::ring) const fn new(_len: usize) -> Self {
            Self
        }

        pub(in crate::ring) const fn read(&self, _from: usize, _to: usize) {}

        pub(in crate::ring) const fn write(&self, _from: usize, _to: usize) {}
    }
}

#[cfg(all(loom, test))]
mod modelled {
    use loom::cell::UnsafeCell;
    pub(in crate::ring) use loom::sync::Arc;
    use loom::sync::Mutex;
    pub(in crate::ring) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
    use std::collections::VecDeque;
    pub(in crate::ring) use std::sync::mpsc::{TryRecvError, TrySendError};

    /// A cell for each byte or frame: loom fails if one is read and written
    /// with nothing to order the two.
    pub(in crate::ring) struct Watch(Box<[UnsafeCell<()>]>);

    impl Watch {
        pub(in crate::ring) fn new(len: usize) -> Self {
            Self((0..len).map(|_| UnsafeCell::new(())).collect())
        }

        pub(in crate::ring) fn read(&self, from: usize, to: usize) {
            self.0[from..to].iter().for_each(|cell| cell.with(|_| ()));
        }

        pub(in crate::ring) fn write(&self, from: usize, to: usize) {
            self.0[from..to].iter().for_each(|cell| cell.with_mut(|_| ()));
        }
    }

    struct Shared<T> {
        queue: VecDeque<T>,
        bound: usize,
        has_sender: bool,
        has_receiver: bool,
    }

    /// As std's bounded channel, with one sender.
    pub(in crate::ring) struct SyncSender<T>(Arc<Mutex<Shared<T>>>);

    pub(in crate::ring) struct Receiver<T>(Arc<Mutex<Shared<T>>>);

    pub(in crate::ring) fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
        let shared = Shared { queue: VecDeque::new(), bound, has_sender: true, has_receiver: true };
        let shared = Arc::new(Mutex::new(shared));
        (SyncSender(Arc::clone(&shared)), Receiver(shared))
    }

    impl<T> SyncSender<T> {
        pub(in crate::ring) fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
            let mut shared = self.0.lock().expect("no thread panics");
            if !shared.has_receiver {
                return Err(TrySendError::Disconnected(item));
            }
            if shared.queue.len() == shared.bound {
                return Err(TrySendError::Full(item));
            }
            shared.queue.push_back(item);
            Ok(())
        }
    }

    impl<T> Drop for SyncSender<T> {
        fn drop(&mut self) {
            self.0.lock().expect("no thread panics").has_sender = false;
        }
    }

    impl<T> Receiver<T> {
        pub(in crate::ring) fn try_recv(&self) -> Result<T, TryRecvError> {
            let mut shared = self.0.lock().expect("no thread panics");
            match shared.queue.pop_front() {
                Some(item) => Ok(item),
                None if shared.has_sender => Err(TryRecvError::Empty),
                None => Err(TryRecvError::Disconnected),
            }
        }
    }

    impl<T> Drop for Receiver<T> {
        fn drop(&mut self) {
            let mut shared = self.0.lock().expect("no thread panics");
            shared.has_receiver = false;
            shared.queue.clear();
        }
    }
}
