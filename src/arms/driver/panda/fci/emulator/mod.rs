//! The control box of the FER (FCI version 5) or of the FR3 (version 10) over real sockets, around a [`Plant`]: for tests and
//! `visuomotor simulate`.
//!
//! One thread, one client at a time, loopback only: TCP requests, a state each millisecond by UDP, the replies checked by
//! [`Controller`]. It ends when [`Emulator`] is dropped. The hand has a port of its own (`hand.rs`). A real control box does not
//! wait. [`EmulatorOptions::patience`] makes this one wait for a late reply, so that tests on a busy computer lose packets only on
//! purpose. Cartesian motions are refused.

mod controller;
mod description;
mod hand;
mod limits;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use controller::{Controller, Ended, Taken, error};

use crate::driver::panda::fci::wire::{
    Command, HEADER, Header, INVALID_ARGUMENT, LONGEST_COMMAND, LONGEST_REQUEST, MOVE, MoveStatus, NOT_POSSIBLE,
    Request, RobotMode, SUCCESS, Version, decode_connect, decode_move,
};
use crate::driver::panda::limits::FR3_CURVE;
use crate::driver::{Order, Orders, Plant};
use crate::transport::loss;
use visuomotor_core::config::Robot;
use visuomotor_core::kinematics::Chain;
use visuomotor_core::time::Timestamp;

/// One cycle.
const PERIOD: Duration = Duration::from_millis(1);

/// Commands kept for observers: a minute.
const LOG_CAPACITY: usize = 60_000;

/// How the emulator is set up.
pub struct EmulatorOptions {
    /// TCP port of the arm; 0 takes a free one.
    pub port: u16,
    /// TCP port of the hand; 0 takes a free one.
    pub hand_port: u16,
    /// Which arm's control box it is.
    pub version: Version,
    /// The robot's model for a client of version 10 ([`robot_model`]); without it that request is refused.
    pub robot_model: Option<String>,
    /// Makes the poses in the states.
    pub chain: Option<Chain>,
    /// How late a reply may come before it counts as lost; a real robot allows none.
    pub patience: Duration,
    /// Gripper fraction 1 in \[m\] between the fingers; 0 is closed.
    pub hand_open: f64,
}

impl Default for EmulatorOptions {
    fn default() -> Self {
        Self {
            port: 0,
            hand_port: 0,
            version: Version::V5,
            robot_model: None,
            chain: None,
            patience: Duration::ZERO,
            hand_open: 0.08,
        }
    }
}

/// The URDF that an FR3 of this description gives its clients, with the speed limits of its control box.
pub fn robot_model(robot: &Robot) -> String {
    description::urdf(robot, &FR3_CURVE)
}

/// External events for tests.
#[derive(Default)]
struct Outside {
    user_stop: AtomicBool,
    /// Error number plus one of a pending reflex; 0 is none.
    reflex: AtomicU32,
    /// Replies to lose.
    lose: AtomicU32,
    leave: AtomicBool,
    taken: Mutex<Vec<Taken>>,
    orders: Orders,
}

/// A running control box.
pub struct Emulator {
    address: SocketAddr,
    hand_address: SocketAddr,
    outside: Arc<Outside>,
    threads: Vec<JoinHandle<()>>,
}

impl Emulator {
    /// Listens on loopback and serves until dropped.
    pub fn start(plant: Box<dyn Plant>, options: EmulatorOptions) -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, options.port))?;
        let hand_listener = TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, options.hand_port))?;
        listener.set_nonblocking(true)?;
        hand_listener.set_nonblocking(true)?;
        let (address, hand_address) = (listener.local_addr()?, hand_listener.local_addr()?);
        let udp = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
        udp.set_nonblocking(true)?;
        let outside = Arc::new(Outside::default());
        let fingers = Arc::new(hand::Fingers::new(options.hand_open));
        let (for_arm, for_hand) = (Arc::clone(&outside), Arc::clone(&outside));
        let hand_fingers = Arc::clone(&fingers);
        let arm = std::thread::Builder::new().name("fci emulator".into()).spawn(move || {
            let controller = Controller::new(plant, options.version, options.chain.clone(), Timestamp::ZERO);
            Server { listener, udp, client: None, controller, options, outside: for_arm, fingers, late: None }.run();
        })?;
        let mut emulator = Self { address, hand_address, outside, threads: vec![arm] };
        let hand = std::thread::Builder::new()
            .name("hand emulator".into())
            .spawn(move || hand::serve(&hand_listener, &hand_fingers, &for_hand.leave, &for_hand.orders))?;
        emulator.threads.push(hand);
        Ok(emulator)
    }

    /// Address of the arm.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The orders it received.
    pub fn orders(&self) -> &Orders {
        &self.outside.orders
    }

    /// Address of the hand.
    pub fn hand_address(&self) -> SocketAddr {
        self.hand_address
    }

    /// Presses or releases the user stop.
    pub fn user_stop(&self, pressed: bool) {
        self.outside.user_stop.store(pressed, Ordering::Release);
    }

    /// Stops the arm with a reflex, by number in [`error`].
    pub fn reflex(&self, number: u32) {
        self.outside.reflex.store(number + 1, Ordering::Release);
    }

    /// Loses the next replies.
    pub fn lose(&self, answers: u32) {
        self.outside.lose.store(answers, Ordering::Release);
    }

    /// The commands taken since the last call, in order.
    pub fn taken(&self) -> Vec<Taken> {
        std::mem::take(&mut *self.outside.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.outside.leave.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to end.
            let _ = thread.join();
        }
    }
}

/// The order a request makes; `None` where it only reads.
fn ordered(request: Request) -> Option<Order> {
    match request {
        Request::Connect | Request::GetCartesianLimit | Request::LoadModelLibrary | Request::GetRobotModel => None,
        Request::Move | Request::StopMove => Some(Order::Motion),
        Request::AutomaticErrorRecovery => Some(Order::Recovery),
        _ => Some(Order::Setting),
    }
}

struct Client {
    tcp: TcpStream,
    bytes: Vec<u8>,
    /// Where states are sent; `None` before Connect.
    states_to: Option<SocketAddr>,
}

struct Server {
    listener: TcpListener,
    udp: UdpSocket,
    client: Option<Client>,
    controller: Controller,
    options: EmulatorOptions,
    outside: Arc<Outside>,
    fingers: Arc<hand::Fingers>,
    /// A reply to the present state.
    late: Option<Command>,
}

impl Server {
    fn run(mut self) {
        let begun = Instant::now();
        let mut due = begun;
        // Physics time is counted in cycles: when the computer stalls, so does the robot.
        let mut cycles: u64 = 0;
        while !self.outside.leave.load(Ordering::Acquire) {
            due += PERIOD;
            let now = Instant::now();
            if due > now {
                std::thread::sleep(due - now);
            } else if now - due > PERIOD {
                due = now;
            }
            self.accept();
            self.happen();
            self.serve_requests();
            let answer = self.answer();
            cycles += 1;
            self.controller.drive_gripper(self.fingers.target());
            let taken = self.controller.tick(Timestamp::from_nanos(cycles * 1_000_000), answer.as_ref());
            self.fingers.moved_to(self.controller.gripper());
            if let Some(taken) = taken {
                self.outside.orders.note(Order::Motion);
                let mut kept = self.outside.taken.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() < LOG_CAPACITY {
                    kept.push(taken);
                }
            }
            self.send_state();
            self.tell_ended();
        }
    }

    fn accept(&mut self) {
        if self.client.is_some() {
            return;
        }
        if let Ok((tcp, _)) = self.listener.accept() {
            // Requests are small and replied to at once; a client that cannot be served is dropped.
            if tcp.set_nonblocking(true).and_then(|()| tcp.set_nodelay(true)).is_ok() {
                self.client = Some(Client { tcp, bytes: Vec::new(), states_to: None });
            }
        }
    }

    fn happen(&mut self) {
        let pressed = self.outside.user_stop.load(Ordering::Acquire);
        let is_pressed = self.controller.state().mode == RobotMode::UserStopped;
        if pressed != is_pressed {
            self.controller.user_stop(pressed);
        }
        if let Some(number) = self.outside.reflex.swap(0, Ordering::AcqRel).checked_sub(1) {
            self.controller.reflex(number);
        }
    }

    fn lose_client(&mut self) {
        self.client = None;
        self.controller.abandon();
    }

    fn serve_requests(&mut self) {
        let Some(client) = self.client.as_mut() else { return };
        let mut buffer = [0; LONGEST_REQUEST];
        match client.tcp.read(&mut buffer) {
            Ok(0) => return self.lose_client(),
            Ok(n) => client.bytes.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return self.lose_client(),
        }
        loop {
            let Some(client) = self.client.as_mut() else { return };
            let Some(header) = Header::decode(&client.bytes) else { return };
            let size = header.size as usize;
            if !(HEADER..=LONGEST_REQUEST).contains(&size) {
                return self.lose_client();
            }
            if client.bytes.len() < size {
                return;
            }
            let message: Vec<u8> = client.bytes.drain(..size).collect();
            let answer = self.request(header, &message[HEADER..]);
            let Some(answer) = answer else { return self.lose_client() };
            if !self.send(&Header::message(header.command, header.id, &answer)) {
                return self.lose_client();
            }
        }
    }

    /// The reply to a request; `None` for one that a client of this robot does not send.
    fn request(&mut self, header: Header, payload: &[u8]) -> Option<Vec<u8>> {
        let simple = |possible: bool| Some(vec![if possible { SUCCESS } else { NOT_POSSIBLE }]);
        let own = self.options.version;
        let request = Request::from_number(own, header.command)?;
        if let Some(order) = ordered(request) {
            self.outside.orders.note(order);
        }
        match request {
            Request::Connect => {
                let (version, port) = decode_connect(payload).ok()?;
                let fits = version == own.number();
                let client = self.client.as_mut()?;
                if fits {
                    let ip = client.tcp.peer_addr().ok()?.ip();
                    client.states_to = Some(SocketAddr::new(ip, port));
                }
                let [low, high] = own.number().to_le_bytes();
                Some(vec![if fits { SUCCESS } else { NOT_POSSIBLE }, low, high])
            }
            Request::Move => {
                let status = match decode_move(own, payload) {
                    Ok((regulator, generator)) => self.controller.start(header.id, regulator, generator),
                    Err(_) => MoveStatus::InvalidArgument,
                };
                Some(vec![status.number(own)])
            }
            Request::StopMove => simple(self.controller.stop()),
            Request::AutomaticErrorRecovery => simple(self.controller.recover()),
            Request::GetCartesianLimit | Request::LoadModelLibrary => None,
            Request::GetRobotModel => Some(match &self.options.robot_model {
                Some(model) => [&[SUCCESS][..], model.as_bytes()].concat(),
                None => vec![NOT_POSSIBLE],
            }),
            _ => {
                // Settings are numbers of 8 bytes; guiding mode is flags.
                let finite = payload
                    .chunks_exact(8)
                    .all(|bytes| bytes.try_into().map(f64::from_le_bytes).is_ok_and(f64::is_finite));
                if !finite { Some(vec![INVALID_ARGUMENT]) } else { simple(self.controller.accepts_settings()) }
            }
        }
    }

    fn send(&mut self, message: &[u8]) -> bool {
        let Some(client) = self.client.as_mut() else { return false };
        // Replies are a few bytes, the model a few thousand: they fit the socket's buffer, or the client does not read.
        matches!(client.tcp.write(message), Ok(n) if n == message.len())
    }

    /// The reply to the present state, waited for up to the patience.
    fn answer(&mut self) -> Option<Command> {
        let expected = self.controller.state().message_id;
        let until = Instant::now() + self.options.patience;
        let mut buffer = [0; LONGEST_COMMAND + 1];
        let mut found = self.late.take().filter(|command| command.message_id == expected);
        loop {
            while let Ok((n, _)) = self.udp.recv_from(&mut buffer) {
                if let Ok(command) = Command::decode(self.options.version, &buffer[..n])
                    && command.message_id == expected
                {
                    found = Some(command);
                }
            }
            let waits = found.is_none() && self.controller.expects_replies() && self.client.is_some();
            if !waits || Instant::now() >= until || self.outside.leave.load(Ordering::Acquire) {
                break;
            }
            // A client that stops or exits instead of replying is detected here.
            self.serve_requests();
            std::thread::sleep(Duration::from_micros(50));
        }
        let lose = self.outside.lose.load(Ordering::Acquire);
        if loss::incoming_is_lost() {
            return None;
        }
        if found.is_some() && lose > 0 {
            self.outside.lose.store(lose - 1, Ordering::Release);
            return None;
        }
        found
    }

    fn send_state(&mut self) {
        let Some(to) = self.client.as_ref().and_then(|client| client.states_to) else { return };
        if loss::outgoing_is_lost() {
            return;
        }
        // A state that cannot be sent counts as lost.
        let _ = self.udp.send_to(&self.controller.state().encode(self.options.version), to);
    }

    fn tell_ended(&mut self) {
        if let Some(ended) = self.controller.take_ended() {
            let message = Header::message(MOVE, ended.id, &[ended.status.number(self.options.version)]);
            if !self.send(&message) {
                self.lose_client();
            }
        }
    }
}
