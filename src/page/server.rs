//! The page's threads.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::connections::{Connections, Place};
use super::gamepad::GamepadSlot;
use super::guard::Guard;
use super::playback::Playback;
use super::settings::{JointRange, PageSettings};
use super::shared::Shared;
use super::sink::PageSink;
use super::{PageError, routes};
use crate::operator::Operator;
use crate::time::{Clock, SystemClock};

/// A running page; dropping it ends it.
pub struct Page {
    shared: Arc<Shared>,
    address: SocketAddr,
    url: String,
    end: Option<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the link for the browser, which contains the token.
        f.debug_struct("Page").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Page {
    /// Listens and serves on its own threads; wishes and stops go to `operator`.
    pub fn start(settings: PageSettings, operator: Operator) -> Result<Self, PageError> {
        Self::start_with_clock(settings, operator, Arc::new(SystemClock::new()))
    }

    /// The same with a clock for the ages it shows and for the silence of browsers. Connections time out on the system's
    /// clock.
    pub fn start_with_clock(
        settings: PageSettings,
        operator: Operator,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PageError> {
        let token = settings.token_in_force()?;
        let playback = match &settings.episodes {
            Some(path) if !path.is_dir() => return Err(PageError::Episodes { path: path.clone() }),
            Some(path) => Some(Playback::new(path.clone())),
            None => None,
        };
        let listener = listen(settings.address)?;
        let address = listener.local_addr()?;
        let url = url(address, token.as_deref());
        let guard = Guard::new(address, token);
        let shared = Arc::new(Shared::new(operator, guard, playback, settings.silent_after, clock));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            // These threads read recordings; the arm has priority on the processor.
            .max_blocking_threads(2)
            .build()?;
        let (end, ended) = oneshot::channel();
        let service = routes::router(shared.clone()).into_make_service_with_connect_info::<Place>();
        let shown_within = settings.shown_within;
        let serve = move || {
            runtime.block_on(async {
                let listener = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => Connections::new(listener, shown_within),
                    Err(error) => return tracing::error!(%error, "the page cannot be served"),
                };
                tokio::select! {
                    outcome = axum::serve(listener, service) => {
                        if let Err(error) = outcome {
                            tracing::error!(%error, "the page is served no more");
                        }
                    }
                    // An error means that the page was dropped, which also ends it.
                    _ = ended => {}
                }
            });
            // Running reads of recordings are not waited for.
            runtime.shutdown_background();
        };
        // From here on, dropping the page ends everything that was started.
        let mut page = Self { shared, address, url, end: Some(end), threads: Vec::new() };
        page.threads.push(page.shared.pictures.start()?);
        page.threads.push(std::thread::Builder::new().name("page".into()).spawn(serve)?);
        Ok(page)
    }

    /// The link to open, with the token if there is one.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Listening address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A listener for episodes that shows them.
    pub fn sink(&self) -> PageSink {
        PageSink::new(self.shared.clone())
    }

    /// Sets names and limits of the arm's joints, chain order, for the bars.
    pub fn joint_ranges(&self, ranges: Vec<JointRange>) {
        self.shared.live().ranges = ranges;
    }

    /// Slot for the gamepad or keys of the browser with the controls.
    pub fn gamepad(&self) -> GamepadSlot {
        self.shared.gamepad.clone()
    }

    /// Adds a point to the curve of the episode, as [`PageSink::curve_point`] does.
    pub fn curve_point(&self, seconds: f64, distance: f64) {
        self.shared.live().curve.add(seconds, distance);
    }

    /// Number of watching browsers.
    pub fn browsers(&self) -> usize {
        self.shared.browsers.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Ends it; every browser shows that the connection is lost.
    pub fn stop(self) {}
}

impl Drop for Page {
    fn drop(&mut self) {
        drop(self.end.take());
        self.shared.pictures.end();
        for thread in self.threads.drain(..) {
            // A panic in the thread was already printed; the arm does not depend on the page.
            let _ = thread.join();
        }
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, PageError> {
    let listener = TcpListener::bind(address).map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => PageError::InUse { address },
        _ => PageError::Listen { address, source },
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn url(address: SocketAddr, token: Option<&str>) -> String {
    let ip = if address.ip().is_unspecified() { own_address(address.ip()) } else { address.ip() };
    let place = SocketAddr::new(ip, address.port());
    token.map_or_else(|| format!("http://{place}/"), |token| format!("http://{place}/?token={token}"))
}

/// This machine's address for others, from the routing table. Nothing is sent.
fn own_address(any: IpAddr) -> IpAddr {
    let ask = || {
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
        // Documentation addresses: outside every local network.
        socket.connect(if any.is_ipv4() { "192.0.2.1:9" } else { "[2001:db8::1]:9" }).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    ask().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
