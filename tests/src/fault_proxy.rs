//! A TCP proxy on loopback that breaks connections in the ways networks do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// Passes connections on to a port, until it is told to behave badly. Ends when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    refusing: bool,
    stalled: bool,
    delay: Duration,
    /// How many more bytes the server's answers may have before their connection is cut.
    answer_bytes: Option<usize>,
    connections: Vec<TcpStream>,
    accepted: usize,
}

impl FaultProxy {
    /// A proxy in front of a loopback port.
    pub fn new(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind a loopback port");
        let port = listener.local_addr().expect("address of a bound socket").port();
        let shared = Arc::new(Shared {
            target: SocketAddr::from((Ipv4Addr::LOCALHOST, target)),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener));
        Self { port, shared }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections were accepted so far, the refused ones not counted.
    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }

    /// Cuts every connection there is. New ones pass.
    pub fn cut(&self) {
        self.shared.state().cut();
    }

    /// Cuts every connection, and ends new ones at once, until [`FaultProxy::pass`].
    pub fn refuse(&self) {
        let mut state = self.shared.state();
        state.refusing = true;
        state.cut();
    }

    /// Moves no byte any more, in old and new connections, until [`FaultProxy::pass`]. Nothing is lost.
    pub fn stall(&self) {
        self.shared.state().stalled = true;
    }

    /// Holds every chunk back for a while before it is passed on.
    pub fn delay(&self, time: Duration) {
        self.shared.state().delay = time;
    }

    /// Passes so many more bytes of answers, over all connections, then cuts the connection.
    pub fn cut_answers_after(&self, bytes: usize) {
        self.shared.state().answer_bytes = Some(bytes);
    }

    /// Behaves again.
    pub fn pass(&self) {
        let mut state = self.shared.state();
        state.refusing = false;
        state.stalled = false;
        state.delay = Duration::ZERO;
        state.answer_bytes = None;
        self.shared.changed.notify_all();
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.closed = true;
        state.cut();
        self.shared.changed.notify_all();
        drop(state);
        // Wakes the listener, so that its thread sees the end.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl State {
    fn cut(&mut self) {
        for connection in self.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the proxy panics")
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming().flatten() {
            let mut state = self.state();
            if state.closed {
                return;
            }
            if !state.refusing {
                state.accepted += 1;
                drop(state);
                // A target that is down ends the client's connection.
                let _ = self.connect(client);
            }
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        let server = TcpStream::connect(self.target)?;
        let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
        self.state().connections.extend([client.try_clone()?, server.try_clone()?]);
        let (up, down) = (Arc::clone(self), Arc::clone(self));
        thread::spawn(move || up.pump(from_client, server, false));
        thread::spawn(move || down.pump(from_server, client, true));
        Ok(())
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, answers: bool) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let (delay, allowed) = self.admit(length, answers);
            if !delay.is_zero() {
                thread::sleep(delay);
            }
            if to.write_all(&buffer[..allowed]).is_err() || allowed < length {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }

    /// Waits while stalled; answers how long to hold the bytes back, and how many of them may pass.
    fn admit(&self, length: usize, answers: bool) -> (Duration, usize) {
        let mut state = self.state();
        while state.stalled && !state.closed {
            state = self.changed.wait(state).expect("no thread of the proxy panics");
        }
        let allowed = match &mut state.answer_bytes {
            Some(left) if answers => {
                let allowed = length.min(*left);
                *left -= allowed;
                allowed
            }
            _ => length,
        };
        (state.delay, allowed)
    }
}
