//! Connections of browsers: unauthenticated ones wait for a limited time; ones that have shown the token get a place.
//!
//! A connection begins in the waiting room ([`Rooms`]). A request with the token moves it to a place ([`Place::take`]). It is
//! closed if that does not happen within [`PageSettings::shown_within`](super::PageSettings::shown_within), whatever it
//! sends meanwhile: half a head, single bytes, nothing. The room is small, and a new connection evicts the oldest. So
//! no client without the token can keep others out for longer than it takes to reconnect. A stop needs no place: it is
//! accepted from the waiting room too, while every place is taken.
//!
//! No address reads a body; a request that announces one is handled by its head alone, and its connection is closed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};

use super::rooms::{Id, Rooms};

/// Idle time-out of a connection with a place, and of a websocket; the page's websocket sends ten messages a second.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// Accepts connections.
pub(super) struct Connections {
    listener: TcpListener,
    rooms: Arc<Mutex<Rooms>>,
    shown_within: Duration,
}

impl Connections {
    /// No connection yet. A connection has `shown_within` to show the token.
    pub fn new(listener: TcpListener, shown_within: Duration) -> Self {
        Self { listener, rooms: Arc::default(), shown_within }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // axum's listener retries after a moment if accepting fails.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Small messages must not wait for each other; without this they only arrive later.
        let _ = stream.set_nodelay(true);
        let peer = address.ip();
        let (id, closed) = lock(&self.rooms).enter(peer);
        let deadline = Instant::now() + self.shown_within;
        let state = Mutex::new(State { standing: Standing::Waiting, deadline });
        let place = Place(Arc::new(Held { rooms: self.rooms.clone(), id, peer, state }));
        (Connection { stream, due: Box::pin(sleep_until(deadline)), closed: Some(closed), place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counts and stamps, each updated atomically.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standing of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has not shown the token.
    Waiting,
    /// It has a place.
    Placed,
    /// It has a place and is a websocket.
    Live,
}

#[derive(Debug)]
struct State {
    standing: Standing,
    /// Deadline of the connection.
    deadline: Instant,
}

/// A connection's place, or its place in the waiting room; freed with the last clone.
#[derive(Clone, Debug)]
pub(super) struct Place(Arc<Held>);

#[derive(Debug)]
struct Held {
    rooms: Arc<Mutex<Rooms>>,
    id: Id,
    peer: IpAddr,
    state: Mutex<State>,
}

impl Place {
    /// The connection has shown the token: gives it a place if it has none; false if none is free.
    pub fn take(&self) -> bool {
        let mut state = lock(&self.0.state);
        if state.standing == Standing::Waiting {
            if !lock(&self.0.rooms).place(self.0.id, self.0.peer) {
                return false;
            }
            state.standing = Standing::Placed;
        }
        state.deadline = Instant::now() + LONGEST_SILENCE;
        true
    }

    /// A response was sent: the idle time-out starts again.
    pub fn answered(&self) {
        self.extend(Standing::Placed);
    }

    /// The connection is a websocket now.
    pub fn go_live(&self) {
        let mut state = lock(&self.0.state);
        if state.standing == Standing::Placed {
            state.standing = Standing::Live;
        }
    }

    /// Moves the deadline of a connection with this standing. In the waiting room nothing moves it.
    fn extend(&self, standing: Standing) {
        let mut state = lock(&self.0.state);
        if state.standing == standing {
            state.deadline = Instant::now() + LONGEST_SILENCE;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let standing = lock(&self.state).standing;
        let mut rooms = lock(&self.rooms);
        match standing {
            Standing::Waiting => rooms.leave(self.id),
            Standing::Placed | Standing::Live => rooms.free(self.peer),
        }
    }
}

impl Connected<IncomingStream<'_, Connections>> for Place {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().place.clone()
    }
}

/// One connection, closed at its deadline or on eviction.
pub(super) struct Connection {
    stream: TcpStream,
    due: Pin<Box<Sleep>>,
    /// Signals eviction; `None` once it has a place.
    closed: Option<oneshot::Receiver<()>>,
    place: Place,
}

impl Connection {
    /// Is its deadline over?
    fn over(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(closed) = &mut self.closed {
            match Pin::new(closed).poll(cx) {
                Poll::Ready(Ok(())) => return true,
                Poll::Ready(Err(_)) => self.closed = None,
                Poll::Pending => {}
            }
        }
        let deadline = lock(&self.place.0.state).deadline;
        if self.due.deadline() != deadline {
            self.due.as_mut().reset(deadline);
        }
        self.due.as_mut().poll(cx).is_ready()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Checked before each read: sending single bytes does not extend the deadline.
        if self.over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.place.extend(Standing::Live);
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if matches!(written, Poll::Ready(Ok(1..))) {
            // A long response over a slow link.
            self.place.extend(Standing::Placed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
