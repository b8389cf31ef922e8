//! A browser without a screen: plain HTTP and a plain websocket.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::{Message, WebSocket, client};

use visuomotor::operator::Operator;
use visuomotor::page::{Page, PageSettings};

/// Limit of every wait: far more than anything here takes.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The token of [`settings`], which [`ask`] and [`Client`] send.
pub const TOKEN: &str = "the-token-of-the-tests";

/// Settings of a page for a test: any free port, a known token, controls are never lost.
pub fn settings() -> PageSettings {
    let (address, token) = ("127.0.0.1:0".parse().unwrap(), Some(TOKEN.into()));
    PageSettings { address, token, silent_after: Duration::from_secs(3600), ..PageSettings::default() }
}

/// A header with a token, unless one of `headers` has it.
fn bearer(headers: &[(&str, &str)]) -> Option<String> {
    let shows = headers.iter().any(|(name, _)| ["Authorization", "Cookie"].contains(name));
    (!shows).then(|| format!("Bearer {TOKEN}"))
}

/// For [`ask`] and [`Client`]: no token is sent.
pub const NO_TOKEN: (&str, &str) = ("Authorization", "none");

/// A page, its operator, and how often stop was called.
pub fn page_with(settings: PageSettings) -> (Page, Operator, Arc<AtomicUsize>) {
    let stops = Arc::new(AtomicUsize::new(0));
    let counted = stops.clone();
    let operator = Operator::new(move |by| {
        assert_eq!(by, "page");
        counted.fetch_add(1, Ordering::SeqCst);
    });
    (Page::start(settings, operator.clone()).unwrap(), operator, stops)
}

pub fn page() -> (Page, Operator, Arc<AtomicUsize>) {
    page_with(settings())
}

pub fn stream(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, LONGEST_WAIT)?;
    stream.set_read_timeout(Some(LONGEST_WAIT))?;
    stream.set_write_timeout(Some(LONGEST_WAIT))?;
    Ok(stream)
}

pub struct Client {
    socket: WebSocket<TcpStream>,
    /// The newest image that arrived while waiting for a text: an image may come before the state it belongs to, or after.
    image: Option<Vec<u8>>,
}

impl Client {
    pub fn connect(page: &Page) -> Self {
        Self::with_headers(page, &[]).unwrap_or_else(|status| panic!("refused with {status}"))
    }

    /// The status when it was refused.
    pub fn with_headers(page: &Page, headers: &[(&str, &str)]) -> Result<Self, u16> {
        Self::at(page.address(), headers)
    }

    /// The same for a page in another process.
    pub fn at(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{address}/live").into_client_request().unwrap();
        if let Some(bearer) = bearer(headers) {
            request.headers_mut().insert("authorization", HeaderValue::from_str(&bearer).unwrap());
        }
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        match client(request, stream(address).unwrap()) {
            Ok((socket, _)) => Ok(Self { socket, image: None }),
            Err(HandshakeError::Failure(tungstenite::Error::Http(answer))) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// Sends data that may be too much for the other side.
    pub fn try_send(&mut self, text: String) {
        let _ = self.socket.send(Message::text(text));
    }

    /// The next text for which `wanted` holds.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..400 {
            match self.socket.read().unwrap_or_else(|error| panic!("{what}: {error}")) {
                Message::Text(text) => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    if wanted(&value) {
                        return value;
                    }
                }
                Message::Binary(bytes) => self.image = Some(bytes.to_vec()),
                _ => {}
            }
        }
        panic!("{what} did not come");
    }

    /// The next state for which `wanted` holds; `{"view":..., "state":...}`.
    pub fn state(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.until(what, |value| value.get("state").is_some() && wanted(value))
    }

    /// The next reply of this kind, as text.
    pub fn answer(&mut self, kind: &str) -> String {
        self.until(kind, |value| value.get(kind).is_some())[kind].as_str().unwrap().to_string()
    }

    /// The next image, or one that arrived while waiting for a text.
    pub fn picture(&mut self) -> Vec<u8> {
        if let Some(bytes) = self.image.take() {
            return bytes;
        }
        for _ in 0..400 {
            match self.socket.read().unwrap() {
                Message::Binary(bytes) => return bytes.to_vec(),
                // A page that does not confirm states is sent no images after a while.
                Message::Text(text) => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    if let Some(sequence) = value["view"]["sequence"].as_u64() {
                        self.send(&format!(r#"{{"heartbeat":{sequence}}}"#));
                    }
                }
                _ => {}
            }
        }
        panic!("no image came");
    }

    /// Reads on until the other side ends the connection.
    pub fn until_closed(&mut self) {
        for _ in 0..400 {
            match self.socket.read() {
                Ok(Message::Close(_)) => return,
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => panic!("still open"),
                Err(_) => return,
            }
        }
        panic!("the connection was not closed");
    }
}

/// Status, and head and body together.
pub fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, Vec<u8>) {
    let mut stream = stream(address).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head += &format!("Host: {address}\r\n");
    }
    if let Some(bearer) = bearer(headers) {
        head += &format!("Authorization: {bearer}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    (status, answer)
}

/// The same as text.
pub fn ask_text(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let (status, answer) = ask(address, method, path, headers);
    (status, String::from_utf8(answer).unwrap())
}

/// The JSON of a reply.
pub fn ask_json(page: &Page, path: &str) -> Value {
    let (status, answer) = ask_text(page.address(), "GET", path, &[]);
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}
