//! A guard on the controller's host: serves one program at a time, over TCP, after it has presented the token.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::duty::{Watched, watch};
use super::message::{Word, read_line};
use super::token::Token;
use crate::transport::ros2::RosSettings;

/// How long a connection may take to present the token.
const SHOWING: Duration = Duration::from_secs(5);
/// Connections that may be presenting it at the same time.
const MOST: usize = 8;
/// Longest wait for a program to receive a message.
const WRITING: Duration = Duration::from_millis(100);

/// Serves programs until `stop` returns true; `place` gives the guard's settings on the graph from the program's request.
pub fn listen(
    listener: &TcpListener,
    token: &Token,
    place: impl Fn(RosSettings) -> RosSettings + Clone + Send + 'static,
    stop: impl Fn() -> bool,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let (busy, showing) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    // A guard at work ends too: once stopped, no new program is served.
    while !stop() || busy.load(Ordering::Acquire) {
        let (stream, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
            // Out of descriptors, or the connection was gone before it was accepted: the next one may succeed.
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                std::thread::sleep(Duration::from_millis(200));
                continue;
            }
        };
        if stop() || showing.fetch_add(1, Ordering::AcqRel) >= MOST {
            showing.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let (token, place, busy, counted) = (token.clone(), place.clone(), busy.clone(), Counted(showing.clone()));
        let served = std::thread::Builder::new().name("guard-program".into()).spawn(move || {
            match serve(stream, &token, place, &busy, counted) {
                Ok(watched) => tracing::info!("{peer}: {watched:?}"),
                Err(error) => tracing::warn!("{peer}: {error}"),
            }
        });
        if let Err(error) = served {
            tracing::warn!("{peer}: no thread for it: {error}");
        }
    }
    Ok(())
}

/// One of the slots for connections that present their token.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The only slot for a guarded program.
struct Place<'a>(&'a AtomicBool);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

fn serve(
    stream: TcpStream,
    token: &Token,
    place: impl FnOnce(RosSettings) -> RosSettings,
    busy: &AtomicBool,
    showing: Counted,
) -> io::Result<Watched> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(WRITING))?;
    let deadline = Instant::now() + SHOWING;
    let shown = read_line(&mut BufReader::with_capacity(1, Until { stream: &stream, deadline }))?;
    let refuse = |why: &str| {
        let _ = (&stream).write_all(Word::Refused(why.into()).line().as_bytes());
        Err(io::Error::new(ErrorKind::PermissionDenied, why))
    };
    if !token.is(&shown) {
        return refuse("the token is wrong");
    }
    if busy.swap(true, Ordering::AcqRel) {
        return refuse("another program is guarded here already");
    }
    let _place = Place(busy);
    drop(showing);
    keep_alive(&stream)?;
    let answers = stream.try_clone()?;
    // Its first line has the same deadline as its token had.
    stream.set_read_timeout(Some(SHOWING))?;
    watch(stream, answers, place)
}

/// Reads until a deadline, however slowly bytes come.
struct Until<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
}

impl Read for Until<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(bytes)
    }
}

/// Enables TCP keepalive, so that the kernel detects a dead peer within about 10 s, also while the program need not send anything.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let options = [
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 4),
        (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 2),
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3),
    ];
    for (level, name, value) in options {
        let value: libc::c_int = value;
        // SAFETY: the socket is open, and the option's value is an int that outlives the call.
        let result = unsafe {
            let size = size_of::<libc::c_int>() as libc::socklen_t;
            libc::setsockopt(stream.as_raw_fd(), level, name, (&raw const value).cast(), size)
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    const TOKEN: &str = "correct horse battery";

    /// A listening guard, its address, and the handle that ends it.
    fn guard() -> (SocketAddr, Arc<AtomicBool>, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let seen = stop.clone();
        let thread = std::thread::spawn(move || {
            let token = Token::new(TOKEN).unwrap();
            listen(&listener, &token, |place| place, || seen.load(Ordering::Acquire)).unwrap();
        });
        (address, stop, thread)
    }

    fn answer(address: SocketAddr, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(bytes).unwrap();
        read_line(&mut BufReader::new(stream)).unwrap_or_default()
    }

    #[test]
    fn only_a_program_that_shows_the_token_is_heard() {
        let (address, stop, thread) = guard();
        assert_eq!(answer(address, b"wrong horse battery\n"), "refused the token is wrong");
        let right = format!("{TOKEN}\n{{}}\n");
        assert!(answer(address, right.as_bytes()).starts_with("refused what to guard"), "the first line is read then");
        // Half-open connections do not block those that come after them.
        let _half: Vec<_> = (0..MOST - 1).map(|_| TcpStream::connect(address).unwrap()).collect();
        assert!(answer(address, right.as_bytes()).starts_with("refused what to guard"));
        stop.store(true, Ordering::Release);
        thread.join().unwrap();
    }
}
